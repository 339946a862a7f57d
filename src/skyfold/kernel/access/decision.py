"""AWS's evaluation logic: from the policies that apply to yes, or no and why."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from skyfold.kernel.access.policy import Context, Document, Named

STRICT_PREFIXES = ("sts:assume", "sts:tagsession", "sts:setsourceidentity", "kms:")
"""Role trust and keys: the resource's own policy has to allow, even within the account."""


class Effect(enum.IntEnum):
    DENY = -1
    NONE = 0
    ALLOW = 1


class Applying(NamedTuple):
    """All policies that bear on one request."""

    identity: Sequence[Document]
    boundary: Sequence[Document] | None = None
    """None where the principal has no boundary; empty where its policy is gone."""
    sessions: Sequence[Document] | None = None
    """Session policies, which together allow what the session may do; None without any."""
    resource: Document | None = None
    all_allowed: bool = False
    """Root, whom no identity policy limits."""
    same_account: bool = True


class Verdict(NamedTuple):
    allowed: bool
    why: str = ""
    """The end of the message: " because no ... policy allows the {action} action"."""
    explicit: bool = False


ALLOWED = Verdict(True)


def _explicit(kind: str) -> Verdict:
    return Verdict(False, f" with an explicit deny in {kind}", explicit=True)


def _implicit(kind: str) -> Verdict:
    return Verdict(False, f" because no {kind} allows the {{action}} action")


DENIED_BY_IDENTITY = _explicit("an identity-based policy")
DENIED_BY_BOUNDARY = _explicit("a permissions boundary")
DENIED_BY_SESSION = _explicit("a session policy")
DENIED_BY_RESOURCE = _explicit("a resource-based policy")
NO_IDENTITY = _implicit("identity-based policy")
NO_BOUNDARY = _implicit("permissions boundary")
NO_SESSION = _implicit("session policy")
NO_RESOURCE = _implicit("resource-based policy")


def effect(documents: Sequence[Document], context: Context) -> Effect:
    """What policies without principals say together."""
    allowed = Effect.NONE
    for document in documents:
        denies, allows = document.about(context.action)
        for statement in denies:
            if statement.holds(context):
                return Effect.DENY
        if allowed is Effect.NONE and any(statement.holds(context) for statement in allows):
            allowed = Effect.ALLOW
    return allowed


def resource_effect(document: Document | None, context: Context) -> tuple[Effect, Named]:
    """What the resource's policy says, and how the strongest of its allows names the caller."""
    strongest = Named.NOT
    if document is None:
        return Effect.NONE, strongest
    denies, allows = document.about(context.action)
    for statement in denies:
        if statement.naming(context.principal) and statement.holds(context):
            return Effect.DENY, Named.NOT
    for statement in allows:
        named = statement.naming(context.principal)
        if named > strongest and statement.holds(context):
            strongest = named
    return (Effect.ALLOW if strongest else Effect.NONE), strongest


def decide(policies: Applying, context: Context) -> Verdict:
    """The verdict on one request; the first explicit deny found is the one that is told."""
    resource, named = resource_effect(policies.resource, context)
    if context.principal.kind in {"service", "anonymous"}:
        if resource is Effect.DENY:
            return DENIED_BY_RESOURCE
        return ALLOWED if resource is Effect.ALLOW else NO_RESOURCE
    identity = effect(policies.identity, context)
    if identity is Effect.DENY:
        return DENIED_BY_IDENTITY
    if policies.all_allowed:
        identity = Effect.ALLOW
    boundary = session = Effect.ALLOW
    if policies.boundary is not None:
        boundary = effect(policies.boundary, context)
        if boundary is Effect.DENY:
            return DENIED_BY_BOUNDARY
    if policies.sessions is not None:
        session = effect(policies.sessions, context)
        if session is Effect.DENY:
            return DENIED_BY_SESSION
    if resource is Effect.DENY:
        return DENIED_BY_RESOURCE
    return _implicit_verdict(policies, context, (identity, boundary, session), named)


def _implicit_verdict(
    policies: Applying, context: Context, effects: tuple[Effect, Effect, Effect], named: Named
) -> Verdict:
    """The verdict where nothing denies: who has to allow, and does."""
    identity, boundary, session = effects
    if policies.same_account:
        if named is Named.DIRECTLY:
            return ALLOWED
        strict = policies.resource is not None and context.action.startswith(STRICT_PREFIXES)
        if strict and not named:
            return NO_RESOURCE
        if named is Named.ROLE:
            identity = Effect.ALLOW
    elif not named:
        return NO_RESOURCE
    if identity is not Effect.ALLOW:
        return NO_IDENTITY
    if boundary is not Effect.ALLOW:
        return NO_BOUNDARY
    return ALLOWED if session is Effect.ALLOW else NO_SESSION


def matched(document: Document, context: Context, verdict: Effect) -> list[int]:
    """The indexes of the statements that speak for ``verdict``, for explaining a decision."""
    denies, allows = document.about(context.action)
    speaking = {Effect.DENY: denies, Effect.ALLOW: allows}.get(verdict, ())
    return [
        statement.index
        for statement in speaking
        if (statement.is_identity or statement.naming(context.principal))
        and statement.holds(context)
    ]
