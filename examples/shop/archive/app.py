"""Keep every order as a file, for the analysts."""

import json
import os

import boto3

s3 = boto3.client("s3")


def handler(event, context):
    for record in event["Records"]:
        order = json.loads(record["Sns"]["Message"])
        s3.put_object(
            Bucket=os.environ["BUCKET"],
            Key=f"orders/{order['id']}.json",
            Body=json.dumps(order).encode(),
            ContentType="application/json",
        )
