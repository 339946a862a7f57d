"""The door of the shop: accept an order and announce it, or show one."""

import json
import os
import uuid

import boto3

sns = boto3.client("sns")
dynamodb = boto3.client("dynamodb")


def handler(event, context):
    if event["routeKey"].startswith("GET"):
        return show(event["pathParameters"]["id"])
    return accept(event)


def accept(event):
    try:
        order = json.loads(event.get("body") or "")
        lines = [(line["sku"], int(line["quantity"])) for line in order["lines"]]
    except (ValueError, KeyError, TypeError):
        return answer(400, {"message": "An order has lines, each with a sku and a quantity."})
    # A client that got no answer sends its order again: the id makes it the same order.
    order_id = str(order.get("id") or uuid.uuid4())
    total = sum(quantity * 995 for _, quantity in lines)
    message = {"id": order_id, "lines": order["lines"], "total_cents": total}
    sns.publish(TopicArn=os.environ["TOPIC"], Message=json.dumps(message))
    return answer(202, {"id": order_id, "total_cents": total})


def show(order_id):
    found = dynamodb.get_item(TableName=os.environ["TABLE"], Key={"id": {"S": order_id}})
    if "Item" not in found:
        return answer(404, {"message": "No such order (yet)."})
    return answer(200, json.loads(found["Item"]["document"]["S"]))


def answer(status, body):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
