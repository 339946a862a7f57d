"""Custom resources: a function or topic does the work and answers to a URL."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.jobs import schedule
from skyfold.kernel.provisioning import InProgress, Properties, Provision, Provisioned
from skyfold.services.cloudformation.deploy.dynamic import need_service
from skyfold.services.cloudformation.deploy.handlers import StackProvision
from skyfold.services.cloudformation.deploy.run import FORGET_HANDLE_JOB
from skyfold.services.cloudformation.engine.intrinsics import text_of
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.limits import (
    CUSTOM_RESOURCE_RESPONSE_BYTES_MAX,
    CUSTOM_RESOURCE_TIMEOUT_S,
)
from skyfold.services.cloudformation.tables import HANDLES, SIGNALS, Handle, Signal
from skyfold.store.api import ReadTx, Tx

HANDLE_KEPT_MS = 2 * CUSTOM_RESOURCE_TIMEOUT_S * 1000
RESPONSE_PATH = "/_aws/cloudformation/response/"
ANSWER = "answer"


class CustomResourceFailed(AwsError):
    """What the function said, or that it said nothing; names the physical id if there is one."""


def response_url(endpoint: str, handle: str) -> str:
    return f"{endpoint}{RESPONSE_PATH}{handle}"


def handle_of(provision: StackProvision, request_type: str) -> str:
    """The secret in the URL: the same for every attempt at this step."""
    return hashlib.sha256(f"{provision.token}/{request_type}".encode()).hexdigest()


async def create_custom(provision: Provision) -> Provisioned | InProgress:
    return await _requested(provision, "Create")


async def update_custom(provision: Provision) -> Provisioned | InProgress:
    return await _requested(provision, "Update")


async def delete_custom(provision: Provision) -> InProgress | None:
    made = await _requested(provision, "Delete")
    return made if isinstance(made, InProgress) else None


async def _requested(provision: Provision, request_type: str) -> Provisioned | InProgress:
    """Send the request once, then look for its answer."""
    assert isinstance(provision, StackProvision)
    handle = handle_of(provision, request_type)
    signal = await provision.call.read(answer_to, handle)
    if signal is not None:
        return _answered(provision, signal, request_type)
    deadline = provision.started_at + _timeout_s(provision) * 1000
    if provision.now >= deadline:
        raise CustomResourceFailed(
            "CloudFormation did not receive a response from your Custom Resource. Please check "
            f"your logs for requestId [{_request_id(provision)}]. If you are using the Python "
            "cfn-response module, you may need to update your Lambda function code so that "
            "CloudFormation can attach the updated version.",
            PhysicalResourceId=provision.physical_id,
        )
    state = provision.had.get("$state") or {}
    if not state.get("sent"):
        await provision.call.write(_give_out, provision.call, provision, handle)
        await _send(provision, handle, request_type)
    return InProgress(deadline - provision.now, {**state, "sent": True})


async def answer_to(tx: ReadTx, handle: str) -> Signal | None:
    return await SIGNALS.get(tx, handle, ANSWER)


async def _give_out(tx: Tx, call: Call, provision: StackProvision, handle: str) -> None:
    stack = parse_arn(provision.stack_id)
    assert stack is not None
    HANDLES.put(
        tx,
        Handle(
            handle=handle,
            kind="custom",
            account=provision.account,
            region=provision.region,
            stack_id=stack.resource.split("/")[2],
            at=call.now,
        ),
    )
    due_at = call.now + HANDLE_KEPT_MS
    await schedule(tx, FORGET_HANDLE_JOB, handle, due_at=due_at, payload={"handle": handle})


def _timeout_s(provision: StackProvision) -> int:
    properties = provision.want or provision.had
    try:
        wanted = int(text_of(properties.get("ServiceTimeout", CUSTOM_RESOURCE_TIMEOUT_S)))
    except ValueError:
        wanted = 0
    if not 1 <= wanted <= CUSTOM_RESOURCE_TIMEOUT_S:
        raise ValidationError(
            f"ServiceTimeout must be a number of seconds from 1 to {CUSTOM_RESOURCE_TIMEOUT_S}"
        )
    return wanted


def _request_id(provision: StackProvision) -> str:
    """A UUID made from the step's token, so that a second attempt is the same request."""
    raw = hashlib.sha256(f"request/{provision.token}".encode()).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:32]}"


async def _send(provision: StackProvision, handle: str, request_type: str) -> None:
    properties = provision.want if request_type != "Delete" else provision.had
    event: dict[str, Any] = {
        "RequestType": request_type,
        "ServiceToken": properties.get("ServiceToken"),
        "ResponseURL": response_url(provision.call.endpoint, handle),
        "StackId": provision.stack_id,
        "RequestId": _request_id(provision),
        "LogicalResourceId": provision.logical_id,
        "ResourceType": provision.resource_type,
        "ResourceProperties": _texts(properties),
    }
    if request_type != "Create":
        event["PhysicalResourceId"] = provision.physical_id
    if request_type == "Update":
        event["OldResourceProperties"] = _texts(provision.had)
    target = properties.get("ServiceToken")
    arn = parse_arn(target) if isinstance(target, str) else None
    if arn is not None and arn.service == "lambda":
        need_service(provision.call, "lambda_")
        await provision.api("lambda_").invoke(
            FunctionName=target, InvocationType="Event", Payload=json.dumps(event).encode()
        )
    elif arn is not None and arn.service == "sns":
        need_service(provision.call, "sns")
        await provision.api("sns").publish(
            TopicArn=target,
            Subject="AWS CloudFormation custom resource request",
            Message=json.dumps(event),
        )
    else:
        raise ValidationError(
            f"Invalid service token: {target}. It must be the ARN of a Lambda function or of an "
            "Amazon SNS topic."
        )


def _texts(properties: Properties) -> dict[str, Any]:
    return {k: _as_texts(v) for k, v in properties.items() if k != "$state"}


def _as_texts(value: Any) -> Any:
    """Every scalar in the request to a custom resource is text."""
    if isinstance(value, dict):
        return {name: _as_texts(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_as_texts(child) for child in value]
    return text_of(value) if isinstance(value, bool | int | float) else value


def _answered(provision: StackProvision, signal: Signal, request_type: str) -> Provisioned:
    body = signal.body
    physical = body.get("PhysicalResourceId") or provision.physical_id
    problem = body.get("$problem")
    if problem:
        raise CustomResourceFailed(str(problem), PhysicalResourceId=physical)
    if body.get("Status") != "SUCCESS":
        raise CustomResourceFailed(
            f"Received response status [{body.get('Status')}] from custom resource. Message "
            f"returned: {body.get('Reason', '')} (RequestId: {_request_id(provision)})",
            PhysicalResourceId=physical,
        )
    if not isinstance(physical, str) or not physical:
        raise CustomResourceFailed("Invalid PhysicalResourceId")
    data = body.get("Data") or {}
    if request_type != "Delete" and not isinstance(data, dict):
        raise CustomResourceFailed("Invalid Data in the response", PhysicalResourceId=physical)
    attributes = {
        name: text_of(value) if isinstance(value, bool | int | float) else value
        for name, value in (data if isinstance(data, dict) else {}).items()
        if value is not None
    }
    return Provisioned(physical_id=physical, attributes=attributes)


def parsed_answer(raw: bytes) -> dict[str, Any]:
    """What was put to the URL; what is wrong with it under ``$problem``."""
    if len(raw) > CUSTOM_RESOURCE_RESPONSE_BYTES_MAX:
        return {"$problem": "Response object is too long."}
    try:
        body = json.loads(raw)
    except ValueError:
        return {"$problem": "Failed to parse response: it is not JSON."}
    if not isinstance(body, dict):
        return {"$problem": "Failed to parse response: it is not a JSON object."}
    return body
