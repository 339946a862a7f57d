"""The live part of a step: evaluate, provision, and hand the outcome to a transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.jobs import Again, JobRow
from skyfold.kernel.platform import Platform
from skyfold.kernel.provisioning import InProgress, ResourceType
from skyfold.services.cloudformation.deploy import outcomes
from skyfold.services.cloudformation.deploy.advance import BUSY
from skyfold.services.cloudformation.deploy.dynamic import resolved
from skyfold.services.cloudformation.deploy.handlers import (
    NESTED,
    StackProvision,
    create_only,
    inert,
    prepared,
    type_named,
)
from skyfold.services.cloudformation.deploy.outcomes import Attempt
from skyfold.services.cloudformation.deploy.roles import operation_call
from skyfold.services.cloudformation.deploy.run import resources_of
from skyfold.services.cloudformation.deploy.scope import (
    Standing,
    scope_for,
    template_of,
    with_exports,
)
from skyfold.services.cloudformation.engine.changes import differing, touches
from skyfold.services.cloudformation.engine.intrinsics import Scope, evaluate
from skyfold.services.cloudformation.engine.template import ResourceBody, policy_of
from skyfold.services.cloudformation.tables import (
    DEFINITIONS,
    OPERATIONS,
    STACKS,
    STEPS,
    Definition,
    Operation,
    Resource,
    Stack,
    Step,
)
from skyfold.store.api import Conflict, ReadTx, StoreUnavailable

log = logging.getLogger("skyfold.cloudformation")


@dataclass(frozen=True)
class Work:
    """What an attempt at a step needs to know."""

    stack: Stack
    operation: Operation
    step: Step
    rows: Mapping[str, Resource]
    target: Definition | None
    previous: Definition | None


async def _load(tx: ReadTx, attempt: Attempt) -> Work | None:
    stack = await STACKS.get(tx, attempt.account, attempt.region, attempt.stack)
    operation = await OPERATIONS.get(tx, attempt.stack)
    step = await STEPS.get(tx, attempt.stack, attempt.step)
    if stack is None or operation is None or operation.id != attempt.operation:
        return None
    if step is None or step.status not in BUSY or step.token != attempt.token:
        return None
    return Work(
        stack=stack,
        operation=operation,
        step=step,
        rows=await resources_of(tx, stack.id),
        target=await _definition(tx, stack.id, operation.target),
        previous=await _definition(tx, stack.id, operation.previous),
    )


async def _definition(tx: ReadTx, stack_id: str, id: str) -> Definition | None:
    return await DEFINITIONS.get(tx, stack_id, id) if id else None


async def run_step(platform: Platform, row: JobRow) -> Again | None:
    """The job ``cloudformation.step``."""
    attempt = msgspec.convert(row.payload, Attempt)
    work = await platform.store.read(_load, attempt)
    if work is None:
        return None
    call = operation_call(platform, work.operation)
    try:
        if work.step.action == "apply":
            return await _apply(call, attempt, work)
        if work.step.action == "revert":
            return await _revert(call, attempt, work)
        return await _delete(call, attempt, work)
    except (Conflict, StoreUnavailable):
        raise
    except AwsError as refused:
        reason = refused.text
        if work.operation.import_existing and "exists" in reason:
            reason = f"{reason} Skyfold cannot import existing resources into stacks yet."
        physical = str(refused.members.get("PhysicalResourceId", ""))
    except Exception as bug:
        log.exception("%s of %s failed", work.step.logical_id, work.stack.arn)
        reason, physical = f"Internal failure: {type(bug).__name__}: {bug}", ""
    wanted = _bare(work) if work.step.action == "apply" else None
    await call.write(outcomes.failed, call, attempt, reason, physical, wanted)
    return None


def _bare(work: Work) -> Resource:
    """A resource that could not even be evaluated."""
    assert work.target is not None
    resource = template_of(work.target).resources[work.step.logical_id]
    return Resource(
        stack_id=work.stack.id,
        logical_id=resource.name,
        type=resource.type,
        status="CREATE_IN_PROGRESS",
        at=work.step.started_at,
    )


async def _apply(call: Call, attempt: Attempt, work: Work) -> Again | None:
    assert work.target is not None
    template = template_of(work.target)
    scope = scope_for(work.stack, work.target)
    included = template.included(scope.holds)
    resource = included[work.step.logical_id]
    standing = Standing(work.stack, work.rows, set(included))

    def evaluated(exports: dict[str, Any]) -> tuple[Any, dict[str, str]]:
        full = scope_for(
            work.stack, work.target or _none(), standing.reference, standing.attribute, exports
        )
        return evaluate(resource.properties, full), _policies(resource, full)

    (properties, policies), imports = await with_exports(call, work.stack, evaluated)
    kind = type_named(call.platform.catalog, resource.type)
    wanted = Resource(
        stack_id=work.stack.id,
        logical_id=resource.name,
        type=resource.type,
        status="CREATE_IN_PROGRESS",
        at=call.now,
        properties=properties,
        needs=work.step.needs,
        imports=imports,
        retain=policies["DeletionPolicy"].startswith("Retain"),
        retain_except_on_create=policies["DeletionPolicy"] == "RetainExceptOnCreate"
        or work.stack.retain_except_on_create,
        retain_replaced=policies["UpdateReplacePolicy"] == "Retain",
        metadata=_metadata(resource),
        description=str(resource.body.get("Description", "")),
        inert=kind is None,
    )
    mode = work.step.mode or _mode(call, work, wanted)
    if mode == "none":
        await call.write(outcomes.unchanged, call, attempt, wanted)
        return None
    step = await call.write(outcomes.began, call, attempt, mode, wanted)
    if step is None:
        return None
    return await _provision(call, attempt, work, step, wanted, kind or inert(resource.type))


def _none() -> Definition:
    raise AssertionError("an apply step has a target")


def _policies(resource: ResourceBody, scope: Scope) -> dict[str, str]:
    found = {}
    for member in ("DeletionPolicy", "UpdateReplacePolicy"):
        value = evaluate(resource.body.get(member, "Delete"), scope)
        found[member] = policy_of(resource, member, value)
    return found


def _metadata(resource: ResourceBody) -> str:
    metadata = resource.body.get("Metadata")
    return "" if metadata is None else msgspec.json.encode(metadata).decode()


def _mode(call: Call, work: Work, wanted: Resource) -> str:
    """What has to be done to what stands to make it what is wanted."""
    row = work.rows.get(wanted.logical_id)
    if row is None or not row.stands:
        return "create"
    paths = differing(row.properties, wanted.properties)
    if touches(paths, create_only(call.platform.catalog, wanted.type)):
        return "replace"
    if wanted.type == NESTED:  # its template may have changed under the same URL
        return "update"
    if paths or work.operation.tags_changed or row.status.endswith("_FAILED"):
        return "update"
    return "none"


async def _provision(
    call: Call, attempt: Attempt, work: Work, step: Step, wanted: Resource, kind: ResourceType
) -> Again | None:
    target = work.target
    assert target is not None
    properties = await resolved(dict(wanted.properties), call)
    want, problem = prepared(wanted.type, properties, wanted.logical_id, target.tags)
    if problem:
        await call.write(outcomes.failed, call, attempt, problem)
        return None
    row = work.rows.get(wanted.logical_id)
    had: dict[str, Any] = {}
    if step.mode == "update" and row is not None:
        tags = work.previous.tags if work.previous else target.tags
        had, _ = prepared(
            row.type, await resolved(dict(row.properties), call), row.logical_id, tags
        )
    physical = row.physical_id if row is not None and step.mode == "update" else ""
    provision = _handed(call, work, step, wanted, want=want, had=had, physical_id=physical)
    made = await (kind.update if step.mode == "update" else kind.create)(provision)
    if isinstance(made, InProgress):
        await call.write(outcomes.stalled, call, attempt, made.state)
        return Again(call.now + made.retry_ms)
    await call.write(outcomes.applied, call, attempt, wanted, made)
    return None


def _handed(
    call: Call,
    work: Work,
    step: Step,
    resource: Resource,
    *,
    want: Mapping[str, Any],
    had: Mapping[str, Any],
    physical_id: str,
) -> StackProvision:
    """What the handler of a resource type gets."""
    definition = work.target or work.previous
    state = {"$state": step.state} if step.state else {}
    fields: dict[str, Any] = {
        "want": want,
        "had": {**had, **state},
        "physical_id": physical_id,
        "api": call.api,
        "account": work.stack.account,
        "region": work.stack.region,
        "stack_name": work.stack.name,
        "stack_id": work.stack.arn,
        "logical_id": resource.logical_id,
        "token": step.token,
        "now": call.now,
        "call": call,
        "step": step.name,
        "capabilities": (definition.capabilities or ()) if definition else (),
        "notification_arns": definition.notification_arns if definition else (),
        "tags": definition.tags if definition else {},
        "root": work.stack.root or work.stack.arn,
        "started_at": step.started_at,
        "resource_type": resource.type,
    }
    return StackProvision(**fields)


async def _delete(call: Call, attempt: Attempt, work: Work) -> Again | None:
    step, resource = work.step, work.step.what
    assert resource is not None
    if step.mode == "retain":
        await call.write(outcomes.deleted, call, attempt, "DELETE_SKIPPED")
        return None
    if not resource.physical_id:
        await call.write(outcomes.deleted, call, attempt)
        return None
    if not await call.write(outcomes.deleting, call, attempt):
        return None
    kind = type_named(call.platform.catalog, resource.type) or inert(resource.type)
    had, _ = prepared(resource.type, resource.properties, resource.logical_id, {})
    provision = _handed(
        call, work, step, resource, want={}, had=had, physical_id=resource.physical_id
    )
    waiting = await kind.delete(provision)
    if waiting is not None:
        await call.write(outcomes.stalled, call, attempt, waiting.state)
        return Again(call.now + waiting.retry_ms)
    await call.write(outcomes.deleted, call, attempt)
    return None


async def _revert(call: Call, attempt: Attempt, work: Work) -> Again | None:
    step, before = work.step, work.step.before
    assert before is not None
    row = work.rows.get(step.logical_id)
    untouched = row is None or row.physical_id != before.physical_id or step.mode == "none"
    if step.mode == "replace" or untouched:
        await call.write(outcomes.reverted, call, attempt, None)
        return None
    assert row is not None
    begun = await call.write(outcomes.reverting, call, attempt)
    if begun is None:
        return None
    kind = type_named(call.platform.catalog, before.type) or inert(before.type)
    tags = work.previous.tags if work.previous else {}
    want, _ = prepared(
        before.type, await resolved(dict(before.properties), call), before.logical_id, tags
    )
    tags = work.target.tags if work.target else {}
    had, _ = prepared(row.type, await resolved(dict(row.properties), call), row.logical_id, tags)
    provision = _handed(call, work, begun, before, want=want, had=had, physical_id=row.physical_id)
    made = await kind.update(provision)
    if isinstance(made, InProgress):
        await call.write(outcomes.stalled, call, attempt, {**made.state, "begun": True})
        return Again(call.now + made.retry_ms)
    await call.write(outcomes.reverted, call, attempt, made.attributes)
    return None
