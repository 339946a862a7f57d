"""Users and roles put straight into the tables, for tests of decisions."""

from __future__ import annotations

import json
from typing import Any

from skyfold.kernel.access.errors import AccessError
from skyfold.kernel.access.tables import (
    INLINE,
    POLICIES,
    ROLES,
    USERS,
    VERSIONS,
    InlineRow,
    PolicyRow,
    RoleRow,
    UserRow,
    VersionRow,
)
from skyfold.kernel.principal import Principal
from skyfold.store.api import Tx
from tests.support.world import ACCOUNT, World


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


async def put_user(
    tx: Tx, name: str, *policies: str, boundary: str | None = None, account: str = ACCOUNT
) -> Principal:
    limit = await _boundary(tx, name, boundary, account)
    row = UserRow(
        account=account, name=name, path="/", id=f"AIDA{name.upper()}", created_at=0, boundary=limit
    )
    USERS.put(tx, row)
    for number, text in enumerate(policies):
        INLINE.put(tx, InlineRow(owner=row.id, name=f"p{number}", document=text))
    return Principal(kind="user", account=account, arn=row.arn, id=row.id, name=name)


async def put_role(
    tx: Tx,
    name: str,
    *policies: str,
    boundary: str | None = None,
    sessions: tuple[str, ...] = (),
    account: str = ACCOUNT,
    trust: str = "",
) -> Principal:
    """The principal of a session of the role, called ``session``."""
    limit = await _boundary(tx, name, boundary, account)
    row = RoleRow(
        account=account,
        name=name,
        path="/",
        id=f"AROA{name.upper()}",
        created_at=0,
        trust=trust or document(),
        boundary=limit,
    )
    ROLES.put(tx, row)
    for number, text in enumerate(policies):
        INLINE.put(tx, InlineRow(owner=row.id, name=f"p{number}", document=text))
    return Principal(
        kind="role",
        account=account,
        arn=row.arn,
        id=f"{row.id}:session",
        name=name,
        session="session",
        session_policies=sessions,
        issued_at=1,
    )


async def _boundary(tx: Tx, name: str, text: str | None, account: str) -> str:
    if text is None:
        return ""
    arn = f"arn:aws:iam::{account}:policy/limit-{name}"
    POLICIES.put(
        tx,
        PolicyRow(
            account=account,
            arn=arn,
            name=f"limit-{name}",
            path="/",
            id="ANPA",
            created_at=0,
            updated_at=0,
        ),
    )
    VERSIONS.put(tx, VersionRow(account=account, arn=arn, number=1, document=text, created_at=0))
    return arn


async def decided(
    world: World,
    principal: Principal,
    action: str,
    resource: str,
    policy: str | None = None,
    **context: Any,
) -> str:
    """``allowed``, or the end of the message that refuses."""
    call = world.call(principal)
    if principal.kind in {"service", "anonymous"} or principal.account != ACCOUNT:
        call = call.acting_as(principal, account=ACCOUNT)
    try:
        await world.platform.store.read(
            world.platform.access.authorize, call, action, resource, context, policy
        )
    except AccessError as refused:
        return refused.text.partition(f"on resource: {resource}")[2].strip() or refused.code
    return "allowed"
