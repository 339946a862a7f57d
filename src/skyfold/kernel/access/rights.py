"""What an identity's own policies give it, gathered from the tables and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyfold.kernel.access.managed import managed_document
from skyfold.kernel.access.policy import Document, compiled
from skyfold.kernel.access.tables import (
    ATTACHED,
    GROUPS_OF,
    INLINE,
    POLICIES,
    ROLES,
    USERS,
    VERSIONS,
    RoleRow,
    UserRow,
)
from skyfold.kernel.principal import Principal
from skyfold.kernel.tags import tags_of
from skyfold.store.api import ReadTx

OWNED_MAX = 1000
"""More than the quotas of inline and attached policies and of groups together."""
AWS = "aws"
"""The account in the ARNs of policies that AWS manages."""


class Rights:
    """The identity policies and the boundary of one entity, and decisions made with them."""

    __slots__ = (
        "all_allowed",
        "asks_resource_tags",
        "boundary",
        "decisions",
        "documents",
        "tags",
    )

    def __init__(
        self,
        documents: tuple[Document, ...],
        boundary: tuple[Document, ...] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        all_allowed: bool = False,
    ) -> None:
        self.documents, self.boundary = documents, boundary
        self.tags: Mapping[str, str] = tags or {}
        self.all_allowed = all_allowed
        self.asks_resource_tags = any(d.asks_resource_tags for d in (*documents, *(boundary or ())))
        self.decisions: dict[Any, Any] = {}


def entity_id(principal: Principal) -> str:
    """The unique id of the user or role behind a principal."""
    return principal.id.partition(":")[0]


async def rights_of(tx: ReadTx, principal: Principal) -> Rights:
    """What is attached to the entity behind ``principal``; nothing where it is gone or another."""
    kind = principal.kind
    if kind == "root" or (kind == "federated" and principal.name == "root"):
        return Rights((), all_allowed=True)
    if kind in {"user", "federated"}:
        user = await USERS.get(tx, principal.account, principal.name)
        if user is None or (kind == "user" and user.id != principal.id):
            return Rights(())
        groups = [row[1] for row in await GROUPS_OF.scan(tx, user.id, limit=OWNED_MAX)]
        return await _gathered(tx, user, [user.id, *groups])
    if kind == "role":
        role = await ROLES.get(tx, principal.account, principal.name)
        if role is None or role.id != entity_id(principal):
            return Rights(())
        return await _gathered(tx, role, [role.id])
    return Rights(())


async def _gathered(tx: ReadTx, entity: UserRow | RoleRow, owners: list[str]) -> Rights:
    texts: list[str] = []
    for owner in owners:
        texts += [row.document for row in await INLINE.scan(tx, owner, limit=OWNED_MAX)]
        for _, arn in await ATTACHED.scan(tx, owner, limit=OWNED_MAX):
            text = await document_of(tx, arn)
            if text is not None:
                texts.append(text)
    boundary: tuple[Document, ...] | None = None
    if entity.boundary:
        limiting = await document_of(tx, entity.boundary)
        boundary = (compiled(limiting),) if limiting else ()
    return Rights(
        tuple(compiled(text) for text in texts), boundary, tags=await tags_of(tx, entity.arn)
    )


async def document_of(tx: ReadTx, arn: str) -> str | None:
    """The default version of a managed policy, AWS's own or a customer's."""
    account = arn.split(":")[4] if arn.count(":") >= 5 else ""
    if account == AWS:
        return managed_document(arn)
    policy = await POLICIES.get(tx, account, arn)
    if policy is None:
        return None
    version = await VERSIONS.get(tx, account, arn, policy.default_version)
    return version.document if version else None
