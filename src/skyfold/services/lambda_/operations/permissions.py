"""The resource policy of a function, statement by statement."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.errors import (
    InvalidParameterValueException,
    PolicyLengthExceededException,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from skyfold.services.lambda_.operations.finding import arn_of, function_of, named
from skyfold.services.lambda_.tables import FUNCTIONS, PERMISSIONS, Function, Permission
from skyfold.store.api import ReadTx, Tx


async def add_permission(tx: Tx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    _unless_current(function, request)
    sid = request["StatementId"]
    if await PERMISSIONS.get(tx, function.arn, sid):
        raise ResourceConflictException(
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, "
            "or remove the existing statement."
        )
    statement = msgspec.json.encode(_statement(call, request)).decode()
    PERMISSIONS.put(tx, Permission(function_arn=function.arn, sid=sid, statement=statement))
    policy = await policy_of(tx, function.arn)
    if policy is not None and len(policy) > limits.POLICY_BYTES_MAX:
        raise PolicyLengthExceededException(
            f"The final policy size ({len(policy)}) is bigger than the limit "
            f"({limits.POLICY_BYTES_MAX})."
        )
    FUNCTIONS.put(tx, msgspec.structs.replace(function, policy_revision=call.new_id()))
    return reply(Statement=statement)


async def remove_permission(tx: Tx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    _unless_current(function, request)
    sid = request["StatementId"]
    if await PERMISSIONS.get(tx, function.arn, sid) is None:
        raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
    PERMISSIONS.delete(tx, function.arn, sid)
    FUNCTIONS.put(tx, msgspec.structs.replace(function, policy_revision=call.new_id()))


async def get_policy(tx: ReadTx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    policy = await policy_of(tx, function.arn)
    if policy is None:
        raise ResourceNotFoundException("The resource you requested does not exist.")
    return reply(Policy=policy, RevisionId=function.policy_revision)


async def policy_of(tx: ReadTx, arn: str) -> str | None:
    """The resource policy of the function with this ARN, JSON."""
    found = await PERMISSIONS.scan(tx, unqualified(arn), limit=1000)
    if not found:
        return None
    statements = ",".join(row.statement for row in found)
    return f'{{"Version":"2012-10-17","Id":"default","Statement":[{statements}]}}'


def unqualified(arn: str) -> str:
    return ":".join(arn.split(":")[:7])


def _unless_current(function: Function, request: Request) -> None:
    wanted = request.get("RevisionId")
    if wanted is not None and wanted != (function.policy_revision or function.revision):
        raise PreconditionFailedException


def _statement(call: Call, request: Request) -> dict[str, Any]:
    conditions: dict[str, dict[str, str]] = {}
    if "SourceAccount" in request:
        conditions["StringEquals"] = {"AWS:SourceAccount": request["SourceAccount"]}
    if "PrincipalOrgID" in request:
        conditions.setdefault("StringEquals", {})["aws:PrincipalOrgID"] = request["PrincipalOrgID"]
    if "EventSourceToken" in request:
        conditions.setdefault("StringEquals", {})["lambda:EventSourceToken"] = request[
            "EventSourceToken"
        ]
    if "FunctionUrlAuthType" in request:
        conditions.setdefault("StringEquals", {})["lambda:FunctionUrlAuthType"] = request[
            "FunctionUrlAuthType"
        ]
    if "SourceArn" in request:
        conditions["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    statement = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": arn_of(named(call, request["FunctionName"], request.get("Qualifier", ""))),
    }
    return {**statement, "Condition": conditions} if conditions else statement


def _principal(text: str) -> Any:
    if text == "*":
        return "*"
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if text.startswith("arn:"):
        return {"AWS": text}
    if re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com", text):
        return {"Service": text}
    raise InvalidParameterValueException(
        "The provided principal was invalid. Please check the principal and try again."
    )
