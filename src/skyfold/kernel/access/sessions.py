"""Temporary credentials: who may have them, and issuing them as functions of ``tx``.

Used by the service STS, and by the kernel and by services that act through a role (a function's
credentials, a schedule's role).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.base.ids import Ids
from skyfold.kernel.access.credentials import TEMPORARY, new_secret
from skyfold.kernel.access.errors import AccessDenied
from skyfold.kernel.access.tables import ROLES, SESSIONS, SESSIONS_DUE, RoleRow, SessionRow
from skyfold.kernel.principal import Principal, service_principal
from skyfold.store.api import ReadTx, Tx

if TYPE_CHECKING:
    from skyfold.kernel.call import Call

DURATION_S_MIN = 900
CHAINED_S_MAX = 3600
"""Of a role assumed with the credentials of a role."""
SWEPT_PER_ISSUE = 4
"""Each new session takes this many expired ones away, so they cannot pile up."""
KEPT_EXPIRED_MS = 24 * 3_600_000
"""An expired session is known for a day, so that its holder hears that it expired."""
TOKEN_START = "IQoJb3JpZ2luX2Vj"


class Credentials(NamedTuple):
    """A temporary credential as it is handed out."""

    access_key: str
    secret: str
    token: str
    expires_at: int
    principal: Principal


class ValidationError(AwsError):
    """STS's own, for what the model cannot say."""


class InvalidParameterValue(AwsError):
    pass


class SessionOptions(NamedTuple):
    """What AssumeRole may say besides the role."""

    policies: tuple[str, ...] = ()
    """Session policies: documents."""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    """The keys among ``tags`` that pass on to roles assumed from this session."""
    source_identity: str = ""
    external_id: str = ""
    mfa_at: int = 0


async def assume(
    tx: Tx,
    call: Call,
    role_arn: str,
    session_name: str,
    duration_s: int = 3600,
    *,
    service_principal_name: str = "",
    source_arn: str = "",
    options: SessionOptions = SessionOptions(),  # noqa: B008 - a NamedTuple, never changed
) -> Credentials:
    """Credentials for a session of a role, if its trust policy lets the caller have them.

    The caller is ``call.principal``, or the service ``service_principal_name``
    (``lambda.amazonaws.com``) acting for ``source_arn`` of the account called. Raises AccessDenied
    where the role is not there or does not trust the caller.
    """
    asking = call
    if service_principal_name:
        asking = call.acting_as(
            service_principal(service_principal_name, account=call.account, source_arn=source_arn)
        )
    caller = await SESSIONS.get(tx, asking.principal.access_key)
    inherited = _inherited(caller)
    tags = _merged_tags(inherited, options)
    role = await trusted_role(tx, asking, role_arn, session_name, options, tags)
    _check_duration(asking.principal, role, duration_s)
    principal = Principal(
        kind="role",
        account=role.account,
        arn=role.arn,
        id=f"{role.id}:{session_name}",
        name=role.name,
        session=session_name,
        session_policies=options.policies,
        tags=tags,
        mfa_at=options.mfa_at,
        source_identity=options.source_identity or asking.principal.source_identity,
    )
    transitive = tuple(dict.fromkeys((*(key for key, _ in inherited), *options.transitive)))
    return await issue(
        tx, call.platform.ids, principal, call.now, duration_s, transitive=transitive
    )


async def trusted_role(
    tx: ReadTx,
    call: Call,
    role_arn: str,
    session_name: str,
    options: SessionOptions,
    tags: Sequence[tuple[str, str]] = (),
) -> RoleRow:
    """The role, if the caller may assume it so."""
    role = await role_named(tx, role_arn)
    refused = AccessDenied(
        caller=call.principal.caller_arn, action="sts:AssumeRole", resource=role_arn
    )
    if role is None:
        raise refused
    context: dict[str, Any] = {"sts:RoleSessionName": session_name}
    if options.external_id:
        context["sts:ExternalId"] = options.external_id
    if options.source_identity:
        context["sts:SourceIdentity"] = options.source_identity
    if tags:
        context |= {f"aws:RequestTag/{key}": value for key, value in tags}
        context["aws:TagKeys"] = [key for key, _ in tags]
        context["sts:TransitiveTagKeys"] = list(options.transitive)
    actions = ["sts:AssumeRole"]
    if options.tags:
        actions.append("sts:TagSession")
    if options.source_identity:
        actions.append("sts:SetSourceIdentity")
    for action in actions:
        try:
            await call.platform.access.authorize(tx, call, action, role.arn, context, role.trust)
        except AccessDenied as denied:
            why = denied.why if "explicit" in denied.why else ""
            raise AccessDenied(
                caller=denied.caller, action=action, resource=role_arn, why=why
            ) from denied
    return role


async def role_named(tx: ReadTx, role_arn: str) -> RoleRow | None:
    """The role with this ARN, its path included."""
    arn = parse_arn(role_arn)
    if arn is None or arn.service != "iam" or not arn.resource.startswith("role/"):
        return None
    role = await ROLES.get(tx, arn.account, arn.resource.rpartition("/")[2])
    return role if role is not None and role.arn == role_arn else None


async def issue(
    tx: Tx,
    ids: Ids,
    principal: Principal,
    now: int,
    duration_s: int,
    *,
    transitive: tuple[str, ...] = (),
) -> Credentials:
    """Make a temporary credential for ``principal``. The caller has checked that it may."""
    await _sweep(tx, now)
    key_id = TEMPORARY + ids.upper(16)
    token = TOKEN_START + base64.b64encode(ids.bytes(150)).decode()
    expires_at = now + duration_s * 1000
    holder = msgspec.structs.replace(principal, access_key=key_id, issued_at=now)
    row = SessionRow(
        id=key_id,
        secret=new_secret(ids),
        token=token,
        principal=holder,
        expires_at=expires_at,
        transitive=transitive,
    )
    SESSIONS.put(tx, row)
    SESSIONS_DUE.put(tx, expires_at, key_id)
    return Credentials(key_id, row.secret, token, expires_at, holder)


async def _sweep(tx: Tx, now: int) -> None:
    due = await SESSIONS_DUE.claim(tx, limit=SWEPT_PER_ISSUE, below=(now - KEPT_EXPIRED_MS,))
    for expires_at, key_id in due:
        SESSIONS_DUE.delete(tx, expires_at, key_id)
        SESSIONS.delete(tx, key_id)


def _inherited(caller: SessionRow | None) -> tuple[tuple[str, str], ...]:
    """The transitive tags of the caller's own session."""
    if caller is None:
        return ()
    return tuple(tag for tag in caller.principal.tags if tag[0] in caller.transitive)


def _merged_tags(
    inherited: tuple[tuple[str, str], ...], options: SessionOptions
) -> tuple[tuple[str, str], ...]:
    held = {key.lower() for key, _ in inherited}
    if any(key.lower() in held for key, _ in options.tags):
        raise InvalidParameterValue(
            "One of the specified transitive tag keys can't be set because it conflicts with a "
            "transitive tag key from the calling session."
        )
    return (*inherited, *options.tags)


def _check_duration(caller: Principal, role: RoleRow, duration_s: int) -> None:
    if duration_s > role.session_s_max:
        raise ValidationError(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
    if caller.kind == "role" and duration_s > CHAINED_S_MAX:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed "
            "by role chaining."
        )


def tag_pairs(tags: Sequence[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """From the API's ``[{"Key": ..., "Value": ...}]``."""
    return tuple((tag["Key"], tag["Value"]) for tag in tags)
