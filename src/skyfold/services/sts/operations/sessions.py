"""Temporary credentials for roles, users and federated users."""

from __future__ import annotations

from typing import Any

from skyfold.base.arn import parse_arn
from skyfold.kernel.access import sessions
from skyfold.kernel.access.errors import AccessDenied, MissingAuthenticationToken
from skyfold.kernel.access.rights import document_of
from skyfold.kernel.access.sessions import Credentials, SessionOptions, tag_pairs
from skyfold.kernel.access.validation import validated
from skyfold.kernel.call import Call
from skyfold.kernel.principal import Principal
from skyfold.kernel.service import Request, reply
from skyfold.services.sts.errors import (
    InvalidParameterValue,
    PackedPolicyTooLargeException,
    ValidationError,
)
from skyfold.services.sts.limits import (
    ROLE_SESSION_S_DEFAULT,
    ROOT_TOKEN_S_MAX,
    SESSION_POLICY_CHARACTERS_MAX,
    SESSION_TAGS_MAX,
    TOKEN_S_DEFAULT,
)
from skyfold.store.api import ReadTx, Tx

NOTHING = '{"Version":"2012-10-17","Statement":[]}'
"""The session policy of a federated user that was given none: it may do nothing by itself."""


async def assume_role(tx: Tx, call: Call, request: Request) -> Any:
    _refuse_unknown_parts(call, request)
    role_arn, tags = request["RoleArn"], tag_pairs(request.get("Tags", []))
    arn = parse_arn(role_arn)
    if arn is None or not arn.partition:
        raise ValidationError(f"{role_arn} is invalid")
    transitive = tuple(request.get("TransitiveTagKeys", ()))
    _check_tags(tags, transitive)
    options = SessionOptions(
        policies=await _session_policies(tx, request),
        tags=tags,
        transitive=transitive,
        source_identity=request.get("SourceIdentity", ""),
        external_id=request.get("ExternalId", ""),
    )
    issued = await sessions.assume(
        tx,
        call,
        role_arn,
        request["RoleSessionName"],
        request.get("DurationSeconds", ROLE_SESSION_S_DEFAULT),
        options=options,
    )
    principal = issued.principal
    return reply(
        Credentials=_shown(issued),
        AssumedRoleUser={"AssumedRoleId": principal.id, "Arn": principal.caller_arn},
        PackedPolicySize=_packed_percent(options),
        SourceIdentity=principal.source_identity or None,
    )


async def get_session_token(tx: Tx, call: Call, request: Request) -> Any:
    _refuse_unknown_parts(call, request)
    principal = _long_term(call, "GetSessionToken")
    duration_s = _duration(principal, request)
    issued = await sessions.issue(tx, call.platform.ids, principal, call.now, duration_s)
    return reply(Credentials=_shown(issued))


async def get_federation_token(tx: Tx, call: Call, request: Request) -> Any:
    caller = _long_term(call, "GetFederationToken")
    name, tags = request["Name"], tag_pairs(request.get("Tags", []))
    _check_tags(tags, ())
    arn = f"arn:aws:sts::{caller.account}:federated-user/{name}"
    tag_context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in tags}
    if tags:
        tag_context["aws:TagKeys"] = [key for key, _ in tags]
        await call.allowed(tx, "sts:TagSession", arn, tag_context)
    await call.allowed(tx, "sts:GetFederationToken", arn, tag_context)
    policies = await _session_policies(tx, request)
    principal = Principal(
        kind="federated",
        account=caller.account,
        arn=arn,
        id=f"{caller.account}:{name}",
        name=caller.name,
        session=name,
        session_policies=policies or (NOTHING,),
        tags=tags,
    )
    duration_s = _duration(caller, request)
    issued = await sessions.issue(tx, call.platform.ids, principal, call.now, duration_s)
    return reply(
        Credentials=_shown(issued),
        FederatedUser={"FederatedUserId": principal.id, "Arn": arn},
        PackedPolicySize=_packed_percent(SessionOptions(policies=policies, tags=tags)),
    )


def _refuse_unknown_parts(call: Call, request: Request) -> None:
    if call.principal.kind == "anonymous":
        raise MissingAuthenticationToken
    if "SerialNumber" in request or "TokenCode" in request:
        # There are no MFA devices here, so no code can be right.
        raise AccessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code.")
    if "ProvidedContexts" in request:
        raise InvalidParameterValue("ProvidedContexts is not supported by Skyfold.")


def _long_term(call: Call, operation: str) -> Principal:
    """The caller, who must not be one with temporary credentials already."""
    principal = call.principal
    if principal.kind == "anonymous":
        raise MissingAuthenticationToken
    if principal.kind not in ("root", "user") or principal.issued_at:
        raise AccessDenied(f"Cannot call {operation} with session credentials")
    return principal


def _duration(principal: Principal, request: Request) -> int:
    duration_s: int = request.get("DurationSeconds", TOKEN_S_DEFAULT)
    return min(duration_s, ROOT_TOKEN_S_MAX) if principal.kind == "root" else duration_s


async def _session_policies(tx: ReadTx, request: Request) -> tuple[str, ...]:
    found = []
    if "Policy" in request:
        text = request["Policy"]
        validated(text)
        if len("".join(text.split())) > SESSION_POLICY_CHARACTERS_MAX:
            raise PackedPolicyTooLargeException(
                "Packed policy consumes more than 100% of allotted space, please use smaller "
                "policy."
            )
        found.append(text)
    for described in request.get("PolicyArns", []):
        arn = described.get("arn", "")
        text = await document_of(tx, arn)
        if text is None:
            raise ValidationError(f"Policy {arn} does not exist or is not attachable.")
        found.append(text)
    return tuple(found)


def _check_tags(tags: tuple[tuple[str, str], ...], transitive: tuple[str, ...]) -> None:
    keys = [key.lower() for key, _ in tags]
    if len(tags) > SESSION_TAGS_MAX:
        raise ValidationError(
            "1 validation error detected: Value at 'tags' failed to satisfy constraint: "
            f"Member must have length less than or equal to {SESSION_TAGS_MAX}"
        )
    if len(set(keys)) != len(keys):
        raise InvalidParameterValue(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    if any(key.lower() not in keys for key in transitive):
        raise InvalidParameterValue(
            "One or more of the specified transitive tag keys is not among the session tags."
        )


def _packed_percent(options: SessionOptions) -> int | None:
    """How much of the room for policies and tags is taken; None where nothing was passed."""
    size = sum(len(text) for text in options.policies)
    size += sum(len(key) + len(value) for key, value in options.tags)
    return -(-size * 100 // SESSION_POLICY_CHARACTERS_MAX) if size else None


def _shown(issued: Credentials) -> dict[str, Any]:
    return {
        "AccessKeyId": issued.access_key,
        "SecretAccessKey": issued.secret,
        "SessionToken": issued.token,
        "Expiration": issued.expires_at,
    }
