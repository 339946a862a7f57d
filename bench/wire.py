"""What the wire costs per request: `python bench/wire.py`. Prints microseconds, best of five."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from skyfold.kernel.http import HttpRequest
from skyfold.kernel.wire.models import ServiceWire

NOW = 1_700_000_000_123


def timed(label: str, count: int, run: Callable[[], Any]) -> None:
    run()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            run()
        best = min(best, (time.perf_counter() - start) / count)
    print(f"{label:44} {best * 1e6:10.2f} us")


def json_request(target: str, body: Any) -> HttpRequest:
    return HttpRequest(
        method="POST", path="/", headers={"x-amz-target": target}, body=json.dumps(body).encode()
    )


def sqs() -> None:
    wire = ServiceWire("sqs")
    send = wire.operation("SendMessage")
    url = "http://localhost:4566/000000000000/orders"
    request = json_request("AmazonSQS.SendMessage", {"QueueUrl": url, "MessageBody": "x" * 200})
    output = {"MessageId": "0" * 36, "MD5OfMessageBody": "0" * 32}
    timed("sqs SendMessage parse", 50_000, lambda: send.parse(request, "json", {}))
    timed("sqs SendMessage reply", 50_000, lambda: send.reply("json", output, "0" * 36))
    form = f"Action=SendMessage&Version=2012-11-05&QueueUrl={url}&MessageBody={'x' * 200}"
    query = HttpRequest(method="POST", path="/", headers={}, body=form.encode())
    timed("sqs SendMessage parse (query)", 20_000, lambda: send.parse(query, "query", {}))
    timed("sqs SendMessage reply (query)", 20_000, lambda: send.reply("query", output, "0" * 36))
    receive = wire.operation("ReceiveMessage")
    messages = [
        {
            "MessageId": "0" * 36,
            "ReceiptHandle": "r" * 120,
            "MD5OfBody": "0" * 32,
            "Body": "x" * 200,
        }
    ] * 10
    timed(
        "sqs ReceiveMessage reply, 10 messages", 10_000,
        lambda: receive.reply("json", {"Messages": messages}, "0" * 36),
    )  # fmt: skip


def dynamodb() -> None:
    wire = ServiceWire("dynamodb")
    put, query = wire.operation("PutItem"), wire.operation("Query")
    item = {
        "pk": {"S": "order#1"}, "sk": {"N": "17"}, "name": {"S": "a" * 50},
        "tags": {"L": [{"S": "a"}, {"S": "b"}]}, "blob": {"B": "AAECAw=="},
    }  # fmt: skip
    request = json_request("DynamoDB_20120810.PutItem", {"TableName": "orders", "Item": item})
    timed("dynamodb PutItem parse, 5 attributes", 20_000, lambda: put.parse(request, "json", {}))
    timed("dynamodb PutItem reply", 20_000, lambda: put.reply("json", {}, "0" * 36))
    found = {**item, "blob": {"B": b"\x00\x01\x02\x03"}}
    output = {"Items": [found] * 50, "Count": 50, "ScannedCount": 50}
    timed("dynamodb Query reply, 50 items", 2_000, lambda: query.reply("json", output, "0" * 36))


def s3() -> None:
    wire = ServiceWire("s3")
    listing, put = wire.operation("ListObjectsV2"), wire.operation("PutObject")
    contents = [
        {
            "Key": f"folder/{number:06d}.json", "LastModified": NOW + number * 1000,
            "ETag": f'"{number:032x}"', "Size": number * 100, "StorageClass": "STANDARD",
        }
        for number in range(1000)
    ]  # fmt: skip
    output = {
        "IsTruncated": False, "Contents": contents, "Name": "bucket", "Prefix": "",
        "MaxKeys": 1000, "KeyCount": 1000,
    }  # fmt: skip
    timed(
        "s3 ListObjectsV2 reply, 1000 objects", 100, lambda: listing.reply("rest-xml", output, "R")
    )
    request = HttpRequest(
        method="PUT", path="/bucket/folder/key%20one.json",
        headers={"host": "localhost", "content-type": "text/plain", "content-length": "1024"},
        body=b"x" * 1024,
    )  # fmt: skip
    timed("s3 PutObject match", 20_000, lambda: wire.match(request))
    labels = {"Bucket": "bucket", "Key": "folder/key one.json"}
    timed("s3 PutObject parse", 20_000, lambda: put.parse(request, "rest-xml", labels))
    answer = {"ETag": '"0"', "ChecksumCRC32": "AAAAAA=="}
    timed("s3 PutObject reply", 20_000, lambda: put.reply("rest-xml", answer, "R" * 16))


def sns() -> None:
    publish = ServiceWire("sns").operation("Publish")
    body = b"Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3A1&Message=hello+world"
    request = HttpRequest(method="POST", path="/", headers={}, body=body)
    timed("sns Publish parse", 20_000, lambda: publish.parse(request, "query", {}))
    timed("sns Publish reply", 20_000, lambda: publish.reply("query", {"MessageId": "m"}, "R"))


def cloudwatch() -> None:
    import cbor2

    put = ServiceWire("cloudwatch").operation("PutMetricData")
    datum = {"MetricName": "m", "Value": 1.5, "Timestamp": cbor2.CBORTag(1, 1_700_000_000.5)}
    body = cbor2.dumps({"Namespace": "n", "MetricData": [datum] * 20})
    request = HttpRequest(method="POST", path="/", headers={}, body=body)
    timed(
        "cloudwatch PutMetricData parse (cbor), 20 data", 5_000,
        lambda: put.parse(request, "smithy-rpc-v2-cbor", {}),
    )  # fmt: skip


def main() -> None:
    for group in (sqs, dynamodb, s3, sns, cloudwatch):
        group()


if __name__ == "__main__":
    main()
