"""Asking IAM about IAM: whose entity a request is about is known only inside the transaction.

The ARN of an entity holds its path, which no request names; so these operations are declared open
and ask by themselves, first of all, with the true ARN.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from skyfold.kernel.access.tables import GROUPS, PROFILES, ROLES, USERS
from skyfold.kernel.call import Call
from skyfold.kernel.service import Operation, Request, read, write
from skyfold.services.iam.engine.service_roles import service_roles
from skyfold.services.iam.operations.entities import SERVICE_ROLE_PATH
from skyfold.store.api import ReadTx

Run = Callable[..., Awaitable[Any]]
Names = Callable[[ReadTx, Call, Request], Awaitable[str]]
"""The ARN of what a request is about."""


async def user(tx: ReadTx, call: Call, request: Request) -> str:
    name = request.get("UserName")
    if name is None:  # the caller's own, for the operations that allow it
        if call.principal.kind == "user":
            return call.principal.arn
        return f"arn:aws:iam::{call.account}:user/*"
    row = await USERS.get(tx, call.account, name)
    return row.arn if row else f"arn:aws:iam::{call.account}:user{_path(request)}{name}"


async def group(tx: ReadTx, call: Call, request: Request) -> str:
    name = request["GroupName"]
    row = await GROUPS.get(tx, call.account, name)
    return row.arn if row else f"arn:aws:iam::{call.account}:group{_path(request)}{name}"


async def role(tx: ReadTx, call: Call, request: Request) -> str:
    name = request["RoleName"]
    row = await ROLES.get(tx, call.account, name)
    return row.arn if row else f"arn:aws:iam::{call.account}:role{_path(request)}{name}"


async def profile(tx: ReadTx, call: Call, request: Request) -> str:
    name = request["InstanceProfileName"]
    row = await PROFILES.get(tx, call.account, name)
    return row.arn if row else f"arn:aws:iam::{call.account}:instance-profile{_path(request)}{name}"


async def policy(tx: ReadTx, call: Call, request: Request) -> str:
    if "PolicyArn" in request:
        arn: str = request["PolicyArn"]
        return arn
    return f"arn:aws:iam::{call.account}:policy{_path(request)}{request['PolicyName']}"


async def service_role(tx: ReadTx, call: Call, request: Request) -> str:
    service = request["AWSServiceName"]
    known = service_roles().get(service)
    name = known.name if known else "*"
    return f"arn:aws:iam::{call.account}:role{SERVICE_ROLE_PATH}{service}/{name}"


async def simulated(tx: ReadTx, call: Call, request: Request) -> str:
    arn: str = request["PolicySourceArn"]
    return arn


async def passed_role(tx: ReadTx, call: Call, request: Request) -> None:
    """AddRoleToInstanceProfile hands the role on."""
    arn = await role(tx, call, request)
    await call.allowed(tx, "iam:PassRole", arn, {"iam:PassedToService": "ec2.amazonaws.com"})


def _path(request: Request) -> str:
    path: str = request.get("Path", "/")
    return path


def context(request: Request) -> Mapping[str, Any]:
    """The condition keys that IAM's own operations have."""
    found: dict[str, Any] = {}
    for member, key in (
        ("PolicyArn", "iam:PolicyARN"),
        ("PermissionsBoundary", "iam:PermissionsBoundary"),
        ("AWSServiceName", "iam:AWSServiceName"),
    ):
        if member in request:
            found[key] = request[member]
    tags = request.get("Tags", [])
    found |= {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    if keys := [*(tag["Key"] for tag in tags), *request.get("TagKeys", [])]:
        found["aws:TagKeys"] = keys
    return found


def reads(action: str, run: Run, about: Names, *more: Run) -> Operation:
    """A read-only operation on the entity that ``about`` names."""
    return read(_guarded(action, run, about, more), open=True)


def writes(action: str, run: Run, about: Names, *more: Run) -> Operation:
    """An operation that changes state, on the entity that ``about`` names."""
    return write(_guarded(action, run, about, more), open=True)


def _guarded(action: str, run: Run, about: Names, more: tuple[Run, ...]) -> Run:
    @functools.wraps(run)
    async def guarded(tx: Any, call: Call, request: Request) -> Any:
        arn = await about(tx, call, request)
        await call.allowed(tx, f"iam:{action}", arn, context(request))
        for check in more:
            await check(tx, call, request)
        return await run(tx, call, request)

    return guarded
