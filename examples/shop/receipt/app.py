"""An order has been archived: make its receipt."""

import json
from urllib.parse import unquote_plus

import boto3

s3 = boto3.client("s3")


def handler(event, context):
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = unquote_plus(record["s3"]["object"]["key"])
        order = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
        lines = [f"{line['quantity']:>4} x {line['sku']}" for line in order["lines"]]
        total = f"Total {order['total_cents'] / 100:.2f}"
        text = "\n".join([f"Order {order['id']}", *lines, total, ""])
        receipt = key.replace("orders/", "receipts/").replace(".json", ".txt")
        s3.put_object(Bucket=bucket, Key=receipt, Body=text.encode(), ContentType="text/plain")
