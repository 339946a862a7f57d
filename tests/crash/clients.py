"""Clients that write as fast as they can, and say after a crash what is wrong."""

from __future__ import annotations

import io
import json
import random
import time
import zipfile
from abc import ABC, abstractmethod
from typing import Any

from botocore.exceptions import ClientError

from tests.crash.ledger import Arrivals, Counters, Registers, hashed
from tests.support.server import Server

KEY = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
CATCH_UP_SECONDS_MAX = 90


class Client(ABC):
    """One client: ``act`` writes once, ``check`` compares what is there with what it knows."""

    needs: tuple[str, ...] = ()

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.random = server, random.Random(f"{type(self).__name__}{seed}")
        self.unanswered = 0

    @abstractmethod
    def prepare(self) -> None:
        """Make what it writes to, once."""

    def begin_round(self, number: int) -> None:  # noqa: B027  # most have nothing to do
        """Before the threads start."""

    @abstractmethod
    def act(self) -> None: ...

    @abstractmethod
    def check(self) -> list[str]:
        """After each restart."""

    def finish(self) -> list[str]:
        """After the last one: what takes time to arrive."""
        return []

    @property
    @abstractmethod
    def acknowledged(self) -> int: ...

    def bytes(self, least: int, most: int) -> bytes:
        return self.random.randbytes(self.random.randint(least, most))


def present(*wrong: str | None) -> list[str]:
    return [one for one in wrong if one is not None]


class Queues(Client):
    """Sends one by one and in batches, receives and deletes; a queue for each round."""

    needs = ("sqs",)

    def prepare(self) -> None:
        self._sqs = self.server.client("sqs")
        self._sent: dict[str, dict[str, str]] = {}
        self._deleted: dict[str, set[str]] = {}
        self._maybe_deleted: set[str] = set()
        self._count = 0

    @property
    def acknowledged(self) -> int:
        return self._count

    def begin_round(self, number: int) -> None:
        self._url = self._sqs.create_queue(QueueName=f"round-{number}")["QueueUrl"]
        self._sent[self._url], self._deleted[self._url] = {}, set()

    def act(self) -> None:
        kind = self.random.random()
        if kind < 0.5:
            body = self.random.randbytes(self.random.randint(1, 900)).hex()
            answer = self._sqs.send_message(QueueUrl=self._url, MessageBody=body)
            self._note({answer["MessageId"]: body})
        elif kind < 0.75:
            bodies = {str(n): self.random.randbytes(40).hex() for n in range(10)}
            entries = [{"Id": n, "MessageBody": body} for n, body in bodies.items()]
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
            self._note({one["MessageId"]: bodies[one["Id"]] for one in answer["Successful"]})
        else:
            self._delete_some()

    def _note(self, sent: dict[str, str]) -> None:
        self._sent[self._url].update((name, hashed(body)) for name, body in sent.items())
        self._count += len(sent)

    def _delete_some(self) -> None:
        # Visible again at once, so that those whose deletion has no answer can be looked for.
        messages = self._receive(self._url, 0)
        for message in messages[:3]:
            self._maybe_deleted.add(message["MessageId"])
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            self._deleted[self._url].add(message["MessageId"])
            self._count += 1

    def _receive(self, url: str, seconds: int) -> list[Any]:
        answer = self._sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=seconds
        )
        return list(answer.get("Messages", []))

    def check(self) -> list[str]:
        """The queue of the round before has gone through two crashes: it is emptied now."""
        older = [url for url in self._sent if url != self._url]
        return [wrong for url in older for wrong in self._drain(url)]

    def finish(self) -> list[str]:
        return [wrong for url in list(self._sent) for wrong in self._drain(url)]

    def _drain(self, url: str) -> list[str]:
        sent, deleted, found = self._sent.pop(url), self._deleted.pop(url), {}
        while messages := self._receive(url, 600):
            found.update((one["MessageId"], hashed(one["Body"])) for one in messages)
            handles = [
                {"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]}
                for n, one in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=url, Entries=handles)
        lost = sent.keys() - found.keys() - deleted - self._maybe_deleted
        wrong = [f"the message {one} of {url} is lost" for one in lost]
        wrong += [f"the deleted message {one} of {url} is back" for one in deleted & found.keys()]
        changed = [one for one in sent.keys() & found.keys() if sent[one] != found[one]]
        self._sqs.delete_queue(QueueUrl=url)
        return wrong + [f"the message {one} of {url} has another body" for one in changed]


class Items(Client):
    """Puts, deletes, counters with and without a condition, transactions."""

    needs = ("dynamodb",)
    table = "items"

    def prepare(self) -> None:
        self._dynamodb = self.server.client("dynamodb")
        self._dynamodb.create_table(TableName=self.table, **KEY)
        self._items, self._counters = Registers(), Counters()

    @property
    def acknowledged(self) -> int:
        return self._items.acknowledged + self._counters.acknowledged

    def act(self) -> None:
        number = self.random.randrange(12)
        self.random.choice(
            [self._put, self._put, self._delete, self._count, self._swap, self._two]
        )(number)

    def _put(self, number: int) -> None:
        key, body = f"item-{number}", self.bytes(1, 3000)
        self._items.begin(key, hashed(body))
        self._dynamodb.put_item(TableName=self.table, Item={"id": {"S": key}, "body": {"B": body}})
        self._items.acknowledge(key)

    def _delete(self, number: int) -> None:
        key = f"item-{number}"
        self._items.begin(key, None)
        self._dynamodb.delete_item(TableName=self.table, Key={"id": {"S": key}})
        self._items.acknowledge(key)

    def _count(self, number: int) -> None:
        key = f"counter-{number}"
        self._counters.begin(key)
        self._dynamodb.update_item(
            TableName=self.table,
            Key={"id": {"S": key}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        self._counters.acknowledge(key)

    def _swap(self, number: int) -> None:
        """Counts up by one only from the value that it knows, as optimistic locking does."""
        key = f"swapped-{number}"
        known = self._counters.least[key]
        self._counters.begin(key)
        self._dynamodb.update_item(
            TableName=self.table,
            Key={"id": {"S": key}},
            UpdateExpression="SET n = :new",
            ConditionExpression="n = :old OR (attribute_not_exists(n) AND :old = :zero)",
            ExpressionAttributeValues={
                ":new": {"N": str(known + 1)},
                ":old": {"N": str(known)},
                ":zero": {"N": "0"},
            },
        )
        self._counters.acknowledge(key)

    def _two(self, number: int) -> None:
        """Two items in one transaction: found equal, whatever happened."""
        value = hashed(self.bytes(8, 8))
        keys = [f"pair-{number}-{side}" for side in "ab"]
        for key in keys:
            self._items.begin(key, value)
        puts = [
            {"Put": {"TableName": self.table, "Item": {"id": {"S": k}, "value": {"S": value}}}}
            for k in keys
        ]
        self._dynamodb.transact_write_items(TransactItems=puts)
        for key in keys:
            self._items.acknowledge(key)

    def check(self) -> list[str]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self.table, ConsistentRead=True
        )
        rows = {item["id"]["S"]: item for page in pages for item in page["Items"]}
        values = {
            key: hashed(row["body"]["B"]) if "body" in row else row["value"]["S"]
            for key, row in rows.items()
            if "n" not in row
        }
        wrong = [self._items.settle(k, values.get(k)) for k in self._items.keys() | values.keys()]
        numbers = {key: int(row["n"]["N"]) for key, row in rows.items() if "n" in row}
        keys = self._counters.most.keys() | numbers.keys()
        wrong += [self._counters.settle(key, numbers.get(key, 0)) for key in keys]
        halves = [
            f"of the transaction on {key} only a half happened"
            for key in values
            if key.endswith("-a") and values[key] != values.get(key[:-1] + "b")
        ]
        return present(*wrong, *halves)


class Objects(Client):
    """Small objects, which lie in the store, and large ones, which are files; also in parts."""

    needs = ("s3",)
    bucket = "crash"

    def prepare(self) -> None:
        self._s3 = self.server.client("s3")
        self._s3.create_bucket(Bucket=self.bucket)
        self._objects = Registers()

    @property
    def acknowledged(self) -> int:
        return self._objects.acknowledged

    def act(self) -> None:
        key = f"folder/{self.random.randrange(16)}"
        kind = self.random.random()
        if kind < 0.2:
            self._objects.begin(key, None)
            self._s3.delete_object(Bucket=self.bucket, Key=key)
        elif kind < 0.25:
            self._in_parts(key)
        else:
            body = self.bytes(65_537, 300_000) if kind < 0.5 else self.bytes(0, 4_000)
            self._objects.begin(key, hashed(body))
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        self._objects.acknowledge(key)

    def _in_parts(self, key: str) -> None:
        where = {"Bucket": self.bucket, "Key": key}
        pieces = [self.random.randbytes(5 << 20), self.bytes(1, 100_000)]
        upload = self._s3.create_multipart_upload(**where)["UploadId"]
        made = [
            {
                "PartNumber": number,
                "ETag": self._s3.upload_part(
                    **where, UploadId=upload, PartNumber=number, Body=piece
                )["ETag"],
            }
            for number, piece in enumerate(pieces, 1)
        ]
        self._objects.begin(key, hashed(b"".join(pieces)))
        self._s3.complete_multipart_upload(
            **where, UploadId=upload, MultipartUpload={"Parts": made}
        )

    def check(self) -> list[str]:
        listed = self._s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = {one["Key"] for one in listed}
        wrong = []
        for key in self._objects.keys() | keys:
            found = None
            if key in keys:
                found = hashed(self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            wrong.append(self._objects.settle(key, found))
        return present(*wrong)

    def finish(self) -> list[str]:
        uploads = self._s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        for one in uploads:
            self._s3.abort_multipart_upload(
                Bucket=self.bucket, Key=one["Key"], UploadId=one["UploadId"]
            )
        return []


class Topics(Client):
    """Publishes to a topic that a queue subscribes to: each publication arrives."""

    needs = ("sns", "sqs")

    def prepare(self) -> None:
        self._sns, self._sqs = self.server.client("sns"), self.server.client("sqs")
        self._topic = self._sns.create_topic(Name="news")["TopicArn"]
        self._url = self._sqs.create_queue(QueueName="news")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": self._topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        raw = {"RawMessageDelivery": "true"}
        self._sns.subscribe(TopicArn=self._topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
        self._news = Arrivals()

    @property
    def acknowledged(self) -> int:
        return self._news.acknowledged

    def act(self) -> None:
        text = self.random.randbytes(60).hex()
        self._news.sent.add(text)
        self._sns.publish(TopicArn=self._topic, Message=text)
        self._news.wanted.add(text)

    def check(self) -> list[str]:
        """Some are still on their way, but what is there must have been sent."""
        while messages := self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages", []):
            self._news.arrived.update(one["Body"] for one in messages)
            handles = [
                {"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]}
                for n, one in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=handles)
        return [f"{text} was never published" for text in self._news.invented]

    def finish(self) -> list[str]:
        until = time.monotonic() + CATCH_UP_SECONDS_MAX
        while self._news.missing and time.monotonic() < until:
            self.check()
            time.sleep(0.05)
        return [f"the publication {text} never arrived" for text in self._news.missing]


WRITER = """
import boto3
dynamodb = boto3.client("dynamodb")
def handler(event, context):
    dynamodb.put_item(TableName="invoked", Item={"id": {"S": event["id"]}})
"""
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
WRITE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}],
}


def zip_of(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


class Functions(Client):
    """Asynchronous invocations of a function that writes an item: each is run to its end."""

    needs = ("lambda", "dynamodb", "iam")

    def prepare(self) -> None:
        self._lambda = self.server.client("lambda")
        self._dynamodb = self.server.client("dynamodb")
        self._dynamodb.create_table(TableName="invoked", **KEY)
        iam = self.server.client("iam")
        role = iam.create_role(RoleName="writer", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="writer", PolicyName="write", PolicyDocument=json.dumps(WRITE))
        self._lambda.create_function(
            FunctionName="writer",
            Runtime="python3.11",
            Handler="app.handler",
            Role=role["Role"]["Arn"],
            Code={"ZipFile": zip_of("app.py", WRITER)},
            Timeout=20,
            MemorySize=256,
        )
        self._lambda.get_waiter("function_active_v2").wait(FunctionName="writer")
        self._runs = Arrivals()

    @property
    def acknowledged(self) -> int:
        return self._runs.acknowledged

    def act(self) -> None:
        name = self.random.randbytes(12).hex()
        self._runs.sent.add(name)
        payload = json.dumps({"id": name}).encode()
        self._lambda.invoke(FunctionName="writer", InvocationType="Event", Payload=payload)
        self._runs.wanted.add(name)
        time.sleep(0.03)  # a function run costs this machine more than accepting it does

    def check(self) -> list[str]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName="invoked", ConsistentRead=True
        )
        self._runs.arrived |= {item["id"]["S"] for page in pages for item in page["Items"]}
        return [f"{name} was never invoked" for name in self._runs.invented]

    def finish(self) -> list[str]:
        until = time.monotonic() + CATCH_UP_SECONDS_MAX
        while self._runs.missing and time.monotonic() < until:
            self.check()
            time.sleep(0.2)
        return [f"the invocation {name} never ran" for name in self._runs.missing]


class Names(Client):
    """Roles with a policy, and parameters: what control planes keep."""

    needs = ("iam", "ssm")

    def prepare(self) -> None:
        self._iam, self._ssm = self.server.client("iam"), self.server.client("ssm")
        self._roles, self._parameters = Registers(), Registers()
        self._made = 0

    @property
    def acknowledged(self) -> int:
        return self._roles.acknowledged + self._parameters.acknowledged

    def act(self) -> None:
        if self.random.random() < 0.3:
            self._made += 1
            name = f"role-{self._made}"
            text = json.dumps(TRUST)
            self._roles.begin(name, text)
            self._iam.create_role(RoleName=name, Path="/c/", AssumeRolePolicyDocument=text)
            self._roles.acknowledge(name)
            return
        name = f"/crash/{self.random.randrange(10)}"
        if self.random.random() < 0.2 and self._parameters.known.get(name) is not None:
            self._parameters.begin(name, None)
            self._ssm.delete_parameter(Name=name)
        else:
            value = self.random.randbytes(20).hex()
            self._parameters.begin(name, value)
            self._ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
        self._parameters.acknowledge(name)

    def check(self) -> list[str]:
        pages = self._iam.get_paginator("list_roles").paginate(PathPrefix="/c/")
        roles = {
            role["RoleName"]: json.dumps(role["AssumeRolePolicyDocument"])
            for page in pages
            for role in page["Roles"]
        }
        wrong = [self._roles.settle(n, roles.get(n)) for n in self._roles.keys() | roles.keys()]
        pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path="/", Recursive=True)
        values = {one["Name"]: one["Value"] for page in pages for one in page["Parameters"]}
        keys = self._parameters.keys() | values.keys()
        return present(*wrong, *(self._parameters.settle(key, values.get(key)) for key in keys))


def template_of(name: str) -> str:
    """Queues one after another, so that a stack takes a while, and a table."""
    queues = {
        f"Queue{n}": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"QueueName": f"{name}-{n}"},
            **({"DependsOn": f"Queue{n - 1}"} if n else {}),
        }
        for n in range(4)
    }
    table = {"Type": "AWS::DynamoDB::Table", "Properties": KEY, "DependsOn": "Queue1"}
    return json.dumps({"Resources": {**queues, "Table": table}})


class Stacks(Client):
    """Stacks whose making is cut off: each ends whole, or rolled back to nothing."""

    needs = ("cloudformation", "sqs", "dynamodb")

    def prepare(self) -> None:
        self._cloudformation = self.server.client("cloudformation")
        self._sqs = self.server.client("sqs")
        self._acknowledged: list[str] = []
        self._unchecked: list[str] = []
        self._sent = 0

    @property
    def acknowledged(self) -> int:
        return len(self._acknowledged)

    def act(self) -> None:
        self._sent += 1
        name = f"stack-{self._sent}"
        self._cloudformation.create_stack(StackName=name, TemplateBody=template_of(name))
        self._acknowledged.append(name)
        self._unchecked.append(name)
        time.sleep(self.random.uniform(0.05, 0.3))

    def check(self) -> list[str]:
        found = [self._ended(name) for name in self._unchecked]
        self._unchecked.clear()
        return present(*found)

    def _ended(self, name: str) -> str | None:
        until = time.monotonic() + CATCH_UP_SECONDS_MAX
        status = "never looked at"
        while time.monotonic() < until:
            stack = self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            status = stack["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                break
            time.sleep(0.05)
        queues = self._sqs.list_queues(QueueNamePrefix=f"{name}-").get("QueueUrls", [])
        wanted = {"CREATE_COMPLETE": 4, "ROLLBACK_COMPLETE": 0}.get(status)
        if wanted == len(queues):
            return None
        return f"{name} is {status} with {len(queues)} queues"


ALL: tuple[type[Client], ...] = (
    Queues,
    Items,
    Objects,
    Topics,
    Functions,
    Names,
    Stacks,
)


def is_trouble(error: ClientError) -> bool:
    """Whether an answer is one that a server must never give, loaded or not."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500)
