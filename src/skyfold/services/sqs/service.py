"""Amazon SQS, declared: everything the rest of Skyfold knows about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Need, Request, Service, live, read, write
from skyfold.services.sqs import deliveries, jobs, resources
from skyfold.services.sqs.errors import InvalidParameterValue, missing
from skyfold.services.sqs.operations import (
    messages,
    move_tasks,
    permissions,
    queues,
    receipts,
    tags,
)
from skyfold.services.sqs.operations.queues import arn_of
from skyfold.services.sqs.operations.usage import billed


def new_queue(call: Call, request: Request) -> str:
    return f"arn:aws:sqs:{call.region}:{call.account}:{request['QueueName']}"


def named_queue(call: Call, request: Request) -> str:
    account = request.get("QueueOwnerAWSAccountId", call.account)
    return f"arn:aws:sqs:{call.region}:{account}:{request['QueueName']}"


def source(call: Call, request: Request) -> str:
    return str(request["SourceArn"])


def moves(call: Call, request: Request) -> Sequence[Need]:
    """What moving messages takes besides: to be allowed to do it by hand."""
    needs = [
        Need(f"sqs:{action}", request["SourceArn"])
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    ]
    if destination := request.get("DestinationArn"):
        needs.append(Need("sqs:SendMessage", destination))
    return needs


UNCHECKED = frozenset({"AttributeNames", "MessageSystemAttributeNames", "Attributes"})
"""Members with names that the operations check themselves, for SQS has an error of its own."""


def refused(found: Sequence[Any]) -> Any:
    """SQS's error for what its model does not allow, or None where the operation says it."""
    for violation in found:
        if violation.kind == "missing":
            return missing(violation.member)
        if violation.kind == "type":
            return InvalidParameterValue(
                f"Value {violation.value} for parameter {violation.member} is invalid."
            )
        if violation.kind not in {"enum", "items"} or violation.member not in UNCHECKED:
            return InvalidParameterValue(str(violation))
    return None


SERVICE = Service(
    model="sqs",
    operations={
        "AddPermission": write(billed(permissions.add_permission), on=arn_of),
        "CancelMessageMoveTask": write(
            billed(move_tasks.cancel_message_move_task), on=move_tasks.arn_of_handle
        ),
        "ChangeMessageVisibility": write(receipts.change_message_visibility, on=arn_of),
        "ChangeMessageVisibilityBatch": write(
            receipts.change_message_visibility_batch, on=arn_of, action="ChangeMessageVisibility"
        ),
        "CreateQueue": write(billed(queues.create_queue), on=new_queue),
        "DeleteMessage": write(receipts.delete_message, on=arn_of),
        "DeleteMessageBatch": write(
            receipts.delete_message_batch, on=arn_of, action="DeleteMessage"
        ),
        "DeleteQueue": write(billed(queues.delete_queue), on=arn_of),
        "GetQueueAttributes": live(billed(queues.get_queue_attributes), on=arn_of),
        "GetQueueUrl": read(billed(queues.get_queue_url), on=named_queue),
        "ListDeadLetterSourceQueues": read(
            billed(queues.list_dead_letter_source_queues), on=arn_of
        ),
        "ListMessageMoveTasks": read(billed(move_tasks.list_message_move_tasks), on=source),
        "ListQueueTags": read(billed(tags.list_queue_tags), on=arn_of),
        "ListQueues": read(billed(queues.list_queues)),
        "PurgeQueue": write(billed(queues.purge_queue), on=arn_of),
        "ReceiveMessage": live(messages.receive_message, on=arn_of),
        "RemovePermission": write(billed(permissions.remove_permission), on=arn_of),
        "SendMessage": write(messages.send_message, on=arn_of),
        "SendMessageBatch": write(messages.send_message_batch, on=arn_of, action="SendMessage"),
        "SetQueueAttributes": write(billed(queues.set_queue_attributes), on=arn_of),
        "StartMessageMoveTask": live(
            billed(move_tasks.start_message_move_task), on=source, also=moves
        ),
        "TagQueue": write(billed(tags.tag_queue), on=arn_of),
        "UntagQueue": write(billed(tags.untag_queue), on=arn_of),
    },
    resource_policy=queues.policy_of,
    accepts=deliveries.ACCEPTS,
    jobs=jobs.JOBS,
    resource_types=[resources.QUEUE, resources.QUEUE_POLICY, resources.QUEUE_INLINE_POLICY],
    validation_error=refused,
)
