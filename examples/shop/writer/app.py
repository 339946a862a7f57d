"""Write each order of a batch to the table; an order that fails comes back on its own."""

import json
import os

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    failures = []
    for record in event["Records"]:
        try:
            write(json.loads(record["body"]))
        except Exception as error:  # one bad order must not hold up the others
            print(f"order {record['messageId']} failed: {error!r}")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def write(order):
    item = {
        "id": {"S": order["id"]},
        "total_cents": {"N": str(order["total_cents"])},
        "document": {"S": json.dumps(order)},
    }
    dynamodb.put_item(TableName=os.environ["TABLE"], Item=item)
