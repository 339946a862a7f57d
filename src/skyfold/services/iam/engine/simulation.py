"""The policy simulator: what policies would say, and which of their statements say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from skyfold.kernel.access.context import RequestContext
from skyfold.kernel.access.decision import Applying, Effect, decide, effect, matched
from skyfold.kernel.access.policy import Document, compiled
from skyfold.kernel.principal import Principal
from skyfold.services.iam.engine.documents import Position, context_keys, statement_spans


class Source(NamedTuple):
    """A policy and what the results call it."""

    id: str
    text: str


class Case(NamedTuple):
    """What a simulation is about, but for action and resource."""

    principal: Principal
    policies: Sequence[Source]
    boundary: Sequence[Source] | None
    resource_policy: str | None
    given: Mapping[str, Any]
    tags: Mapping[str, str]
    same_account: bool = True


def evaluated(case: Case, action: str, resource: str, *, per_resource: bool) -> dict[str, Any]:
    """One EvaluationResult."""
    context = RequestContext(None, case.principal, action, resource, case.given)
    context.principal_tags = case.tags
    limits = None if case.boundary is None else [compiled(source.text) for source in case.boundary]
    policies = Applying(
        identity=[compiled(source.text) for source in case.policies],
        boundary=limits,
        resource=compiled(case.resource_policy) if case.resource_policy else None,
        same_account=case.same_account,
    )
    verdict = decide(policies, context)
    decision = "allowed" if verdict.allowed else "implicitDeny"
    if verdict.explicit:
        decision = "explicitDeny"
    details = {
        "MatchedStatements": _statements(case, context, decision),
        "MissingContextValues": _missing(case, context),
    }
    if limits is not None:
        allowed = effect(limits, context) is Effect.ALLOW
        details["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
    result = {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision,
        "EvalDecisionDetails": {},
        "OrganizationsDecisionDetail": {"AllowedByOrganizations": True},
        **details,
    }
    if per_resource:
        specific = {"EvalResourceName": resource, "EvalResourceDecision": decision, **details}
        result["ResourceSpecificResults"] = [specific]
    return result


def _sources(case: Case) -> list[Source]:
    found = [*case.policies, *(case.boundary or ())]
    if case.resource_policy:
        found.append(Source("ResourcePolicy", case.resource_policy))
    return found


def _statements(case: Case, context: RequestContext, decision: str) -> list[dict[str, Any]]:
    if decision == "implicitDeny":
        return []
    wanted = Effect.ALLOW if decision == "allowed" else Effect.DENY
    found = []
    for source in _sources(case):
        indexes = matched(compiled(source.text), context, wanted)
        spans = statement_spans(source.text) if indexes else []
        found += [
            {
                "SourcePolicyId": source.id,
                "SourcePolicyType": "IAM Policy",
                "StartPosition": _shown(spans[index].start),
                "EndPosition": _shown(spans[index].end),
            }
            for index in indexes
        ]
    return found


def _shown(position: Position) -> dict[str, int]:
    return {"Line": position.line, "Column": position.column}


def _missing(case: Case, context: RequestContext) -> list[str]:
    """Keys that statements about the action ask for, and that nobody has given."""
    found: dict[str, str] = {}
    for source in _sources(case):
        asked = _asked(compiled(source.text), context.action)
        if asked:
            found |= {key.lower(): key for key in context_keys(source.text) if key.lower() in asked}
    return [name for key, name in sorted(found.items()) if context.values(key) is None]


def _asked(document: Document, action: str) -> set[str]:
    denies, allows = document.about(action)
    return {key for statement in (*denies, *allows) for key in statement.keys}
