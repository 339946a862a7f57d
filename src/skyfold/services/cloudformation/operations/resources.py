"""The resources of a stack, and its events."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.pages import token
from skyfold.kernel.service import Request, reply
from skyfold.services.cloudformation.deploy.run import resources_of
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import PAGE_EVENTS, PAGE_RESOURCES
from skyfold.services.cloudformation.operations.lookup import find_stack, stack_or, the_stack
from skyfold.services.cloudformation.operations.stacks import page_position
from skyfold.services.cloudformation.tables import (
    BY_PHYSICAL_ID,
    EVENTS,
    RESOURCES,
    Event,
    Resource,
    Stack,
)
from skyfold.store.api import ReadTx

NOT_CHECKED = {"StackResourceDriftStatus": "NOT_CHECKED"}


def _of_resource(resource: Resource, at: str) -> dict[str, Any]:
    shown = {
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id or None,
        "ResourceType": resource.type,
        at: resource.at,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason or None,
        "DriftInformation": NOT_CHECKED,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _of_stack_resource(stack: Stack, resource: Resource, at: str = "Timestamp") -> dict[str, Any]:
    shown = {"StackName": stack.name, "StackId": stack.arn, **_of_resource(resource, at)}
    if resource.description:
        shown["Description"] = resource.description
    return shown


async def describe_stack_resource(tx: ReadTx, call: Call, request: Request) -> Any:
    stack = await stack_or(tx, call, request["StackName"], "Stack '{}' does not exist")
    logical_id = request["LogicalResourceId"]
    resource = await RESOURCES.get(tx, stack.id, logical_id)
    if resource is None:
        raise ValidationError(f"Resource {logical_id} does not exist for stack {stack.name}")
    shown = _of_stack_resource(stack, resource, "LastUpdatedTimestamp")
    if resource.metadata:
        shown["Metadata"] = resource.metadata
    return reply(StackResourceDetail=shown)


async def describe_stack_resources(tx: ReadTx, call: Call, request: Request) -> Any:
    name, physical = request.get("StackName"), request.get("PhysicalResourceId")
    logical = request.get("LogicalResourceId")
    if bool(name) == bool(physical):
        raise ValidationError(
            "One and only one of StackName and PhysicalResourceId must be specified."
        )
    if name:
        stack = await stack_or(tx, call, name, "Stack with id {} does not exist")
    else:
        wanted = str(physical)
        found = await BY_PHYSICAL_ID.scan(tx, call.account, call.region, wanted, limit=1)
        owner = await find_stack(tx, call, _arn(call, found[0][3])) if found else None
        if owner is None:
            raise ValidationError(f"Stack for {physical} does not exist")
        stack = owner
    rows = (await resources_of(tx, stack.id)).values()
    return reply(
        StackResources=[
            _of_stack_resource(stack, row)
            for row in rows
            if logical is None or row.logical_id == logical
        ]
    )


def _arn(call: Call, stack_id: str) -> str:
    return f"arn:aws:cloudformation:{call.region}:{call.account}:stack/-/{stack_id}"


async def list_stack_resources(tx: ReadTx, call: Call, request: Request) -> Any:
    stack = await stack_or(tx, call, request["StackName"], "Stack with id {} does not exist")
    purpose = f"ListStackResources {stack.id}"
    above = page_position(purpose, request["NextToken"]) if request.get("NextToken") else None
    rows = await RESOURCES.scan(tx, stack.id, limit=PAGE_RESOURCES + 1, above=above)
    more = (
        token(purpose, rows[PAGE_RESOURCES - 1].logical_id) if len(rows) > PAGE_RESOURCES else None
    )
    return reply(
        StackResourceSummaries=[
            _of_resource(row, "LastUpdatedTimestamp") for row in rows[:PAGE_RESOURCES]
        ],
        NextToken=more,
    )


async def describe_stack_events(tx: ReadTx, call: Call, request: Request) -> Any:
    stack = await the_stack(tx, call, request["StackName"])
    purpose = f"DescribeStackEvents {stack.id}"
    below = page_position(purpose, request["NextToken"]) if request.get("NextToken") else None
    rows = await EVENTS.scan(tx, stack.id, limit=PAGE_EVENTS + 1, below=below, reverse=True)
    more = token(purpose, rows[PAGE_EVENTS - 1].seq) if len(rows) > PAGE_EVENTS else None
    return reply(
        StackEvents=[event_shown(stack, row) for row in rows[:PAGE_EVENTS]], NextToken=more
    )


def event_shown(stack: Stack, event: Event) -> dict[str, Any]:
    shown = {
        "StackId": stack.arn,
        "EventId": event.id,
        "StackName": stack.name,
        "OperationId": event.operation or None,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.type,
        "Timestamp": event.at,
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason or None,
        "ResourceProperties": event.properties,
        "ClientRequestToken": event.token or None,
    }
    return {name: value for name, value in shown.items() if value is not None}
