"""The work that is measured: what each prepares through boto3, and the requests it then repeats."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

REGION = "us-east-1"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
HANDLER = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"


class Asked(NamedTuple):
    """One request, not signed yet."""

    service: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Endpoint:
    """A server under measurement, at 127.0.0.1."""

    def __init__(self, port: int, key: str = "test", secret: str = "test") -> None:
        self.port, self._credentials = port, Credentials(key, secret)
        self.url = f"http://127.0.0.1:{port}"

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self._credentials.access_key,
            aws_secret_access_key=self._credentials.secret_key,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def signed(self, asked: Asked) -> bytes:
        """The request as it goes over the line."""
        headers = {"Host": f"127.0.0.1:{self.port}", **asked.headers}
        request = AWSRequest(asked.method, self.url + asked.path, headers, asked.body)
        signer = S3SigV4Auth if asked.service == "s3" else SigV4Auth
        signer(self._credentials, asked.service, REGION).add_auth(request)
        lines = [f"{asked.method} {asked.path} HTTP/1.1"]
        lines += [f"{name}: {_text(value)}" for name, value in request.headers.items()]
        if asked.body or asked.method != "GET":
            lines.append(f"Content-Length: {len(asked.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + asked.body


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


Work = Callable[[Endpoint], Sequence[Asked]]


def _json(service: str, target: str, parameters: dict[str, Any]) -> Asked:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    return Asked(service, "POST", "/", headers, json.dumps(parameters).encode())


def sqs_send(at: Endpoint) -> list[Asked]:
    url = at.client("sqs").create_queue(QueueName="bench")["QueueUrl"]
    return [
        _json("sqs", "AmazonSQS.SendMessage", {"QueueUrl": url, "MessageBody": f"{i:0200}"})
        for i in range(100)
    ]


def _item(number: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"user#{number % 50}"},
        "sk": {"S": f"order#{number:06}"},
        "total": {"N": str(number)},
        "note": {"S": "y" * 150},
        "tags": {"SS": ["a", "b"]},
    }


def _table(at: Endpoint) -> Any:
    client = at.client("dynamodb")
    if "bench" not in client.list_tables()["TableNames"]:
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        client.create_table(
            TableName="bench",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        client.get_waiter("table_exists").wait(TableName="bench")
        for number in range(500):
            client.put_item(TableName="bench", Item=_item(number))
    return client


def _dynamodb(operation: str, parameters: dict[str, Any]) -> Asked:
    target = f"DynamoDB_20120810.{operation}"
    return _json("dynamodb", target, {"TableName": "bench", **parameters})


def dynamodb_put(at: Endpoint) -> list[Asked]:
    _table(at)
    return [_dynamodb("PutItem", {"Item": _item(number)}) for number in range(500)]


def dynamodb_get(at: Endpoint) -> list[Asked]:
    _table(at)
    items = [_item(number) for number in range(500)]
    return [_dynamodb("GetItem", {"Key": {k: i[k] for k in ("pk", "sk")}}) for i in items]


def dynamodb_query(at: Endpoint) -> list[Asked]:
    _table(at)
    question = {"Limit": 10, "KeyConditionExpression": "pk = :p"}
    return [
        _dynamodb("Query", {**question, "ExpressionAttributeValues": {":p": {"S": f"user#{i}"}}})
        for i in range(50)
    ]


def _bucket(at: Endpoint) -> Any:
    client = at.client("s3")
    if not any(b["Name"] == "bench" for b in client.list_buckets()["Buckets"]):
        client.create_bucket(Bucket="bench")
    return client


def s3_put_1k(at: Endpoint) -> list[Asked]:
    _bucket(at)
    headers = {"Content-Type": "text/plain"}
    return [Asked("s3", "PUT", f"/bench/put/{i:04}", headers, b"z" * 1024) for i in range(100)]


def s3_get_1k(at: Endpoint) -> list[Asked]:
    client = _bucket(at)
    for number in range(50):
        client.put_object(Bucket="bench", Key=f"get/{number}", Body=b"z" * 1024)
    return [Asked("s3", "GET", f"/bench/get/{number}", {}, b"") for number in range(50)]


def s3_list_1000(at: Endpoint) -> list[Asked]:
    client = _bucket(at)
    for number in range(1000):
        client.put_object(Bucket="bench", Key=f"list/{number:05}", Body=b"")
    return [Asked("s3", "GET", "/bench?list-type=2&max-keys=1000&prefix=list%2F", {}, b"")]


def sns_fanout3(at: Endpoint) -> list[Asked]:
    topics, queues = at.client("sns"), at.client("sqs")
    topic = topics.create_topic(Name="bench")["TopicArn"]
    for number in range(3):
        url = queues.create_queue(QueueName=f"fan{number}")["QueueUrl"]
        wanted = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = wanted["Attributes"]["QueueArn"]
        may = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": "hi " * 40}
    return [Asked("sns", "POST", "/", {"Content-Type": FORM}, urlencode(form).encode())]


def lambda_warm(at: Endpoint) -> list[Asked]:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as file:
        file.writestr("index.py", HANDLER)
    role = at.client("iam").create_role(
        RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    functions = at.client("lambda")
    functions.create_function(
        FunctionName="bench",
        Runtime="python3.11",
        Handler="index.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": package.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="bench")
    functions.invoke(FunctionName="bench")
    return [Asked("lambda", "POST", "/2015-03-31/functions/bench/invocations", {}, b"{}")]


WORKS: dict[str, Work] = {
    work.__name__: work
    for work in (
        sqs_send,
        dynamodb_put,
        dynamodb_get,
        dynamodb_query,
        s3_put_1k,
        s3_get_1k,
        s3_list_1000,
        sns_fanout3,
        lambda_warm,
    )
}
