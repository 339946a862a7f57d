"""What a step's end changes: functions of ``tx``, each the last write of one attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.kernel.provisioning import Provisioned
from skyfold.kernel.tags import put_tags
from skyfold.services.cloudformation.deploy.advance import BUSY, advance
from skyfold.services.cloudformation.deploy.handlers import arn_of, inert_note, system_tags
from skyfold.services.cloudformation.deploy.run import Run
from skyfold.services.cloudformation.engine.schemas import schema_of
from skyfold.services.cloudformation.engine.stack_policy import allows
from skyfold.services.cloudformation.tables import RESOURCES, STEPS, Resource, Step
from skyfold.store.api import Tx

REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."
INITIATED = "Resource creation Initiated"
CANCELLED = "Resource creation cancelled"
_VERBS = {"create": "CREATE", "update": "UPDATE", "replace": "UPDATE", "none": "UPDATE"}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Which step of which operation is being attempted."""

    account: str
    region: str
    stack: str
    operation: str
    step: str
    token: str


async def current(tx: Tx, call: Call, attempt: Attempt) -> tuple[Run, Step] | None:
    """The stack and the step, if the step is still to be ended."""
    run = await Run.load(tx, call, attempt.account, attempt.region, attempt.stack)
    if run is None or not run.has_operation or run.operation.id != attempt.operation:
        return None
    step = await STEPS.get(tx, attempt.stack, attempt.step)
    if step is None or step.status not in BUSY or step.token != attempt.token:
        return None
    return run, step


async def began(tx: Tx, call: Call, attempt: Attempt, mode: str, wanted: Resource) -> Step | None:
    """An apply step is found to be a create, an update or a replacement: say so, once."""
    found = await current(tx, call, attempt)
    if found is None:
        return None
    run, step = found
    if step.mode:
        return step
    row = await RESOURCES.get(tx, attempt.stack, wanted.logical_id)
    denied = _denied(run, mode, wanted)
    if denied:
        step = run.put_step(step, mode=mode)
        await _failed(run, step, row or wanted, denied, "")
        return None
    before = step.before or (row if row is not None and row.stands else None)
    leftovers = step.leftovers
    in_between = row is not None and before is not None and row.physical_id != before.physical_id
    if mode == "replace" and row is not None and in_between:
        leftovers = (*leftovers, row)
    step = run.put_step(step, mode=mode, before=before, leftovers=leftovers)
    if mode == "create" or row is None:
        await run.mark(wanted, "CREATE_IN_PROGRESS")
    else:
        reason = REPLACING if mode == "replace" else ""
        await run.mark(row, "UPDATE_IN_PROGRESS", reason, properties=wanted.properties)
    run.hold_imports(wanted.imports)
    run.save()
    return step


def _denied(run: Run, mode: str, wanted: Resource) -> str:
    if mode == "create":
        return ""
    policy = run.operation.policy_during_update or run.stack.policy
    action = "Update:Replace" if mode == "replace" else "Update:Modify"
    if allows(policy, action, wanted.logical_id, wanted.type):
        return ""
    return (
        "Action denied by stack policy: Statement does not allow "
        f"[{action}] for resource [{wanted.logical_id}]"
    )


async def unchanged(tx: Tx, call: Call, attempt: Attempt, wanted: Resource) -> None:
    """An apply step has nothing to do but to take over policies and metadata."""
    found = await current(tx, call, attempt)
    if found is None:
        return
    run, step = found
    row = await RESOURCES.get(tx, attempt.stack, wanted.logical_id)
    assert row is not None, "only what stands can be unchanged"
    kept = msgspec.structs.replace(
        wanted,
        physical_id=row.physical_id,
        attributes=row.attributes,
        properties=row.properties,
        status=row.status,
        reason=row.reason,
        at=row.at,
        stands=True,
        inert=row.inert,
    )
    await run.put_resource(kept)
    before = step.before or row
    run.put_step(step, status="done", mode=step.mode or "none", before=before)
    run.hold_imports(wanted.imports)
    await advance(run)
    run.save()


async def applied(
    tx: Tx, call: Call, attempt: Attempt, wanted: Resource, made: Provisioned
) -> None:
    """An apply step has succeeded."""
    found = await current(tx, call, attempt)
    if found is None:
        return
    run, step = found
    verb = _VERBS[step.mode]
    before = step.before
    if step.mode == "update" and before is not None and made.physical_id != before.physical_id:
        step = run.put_step(step, mode="replace")  # a custom resource may become another one
    initiated = step.mode in ("create", "replace")
    row = msgspec.structs.replace(
        wanted, physical_id=made.physical_id, attributes=made.attributes, stands=True
    )
    if initiated and not (step.mode == "create" and step.state.get("physical_id")):
        row = await run.mark(row, f"{verb}_IN_PROGRESS", INITIATED)
    if run.operation.failing and step.mode == "create":
        row = await run.mark(row, "CREATE_FAILED", CANCELLED)
    else:
        note = inert_note(call.platform.catalog, row.type) if row.inert else ""
        row = await run.mark(row, f"{verb}_COMPLETE", note)
    _put_system_tags(run, row)
    run.put_step(step, status="done", state={})
    await advance(run)
    run.save()


def _put_system_tags(run: Run, row: Resource) -> None:
    schema, arn = schema_of(row.type), arn_of(row)
    if schema is not None and schema.tag_property and arn and not row.inert:
        put_tags(run.tx, arn, system_tags(run.stack, row))


async def stalled(tx: Tx, call: Call, attempt: Attempt, state: Mapping[str, Any]) -> None:
    """The resource needs more time: what it is to remember until the next attempt."""
    found = await current(tx, call, attempt)
    if found is None:
        return
    run, step = found
    step = run.put_step(step, status="stalled", state=state)
    physical = str(state.get("physical_id", ""))
    row = await RESOURCES.get(tx, attempt.stack, step.logical_id)
    if physical and row is not None and not row.physical_id and step.mode == "create":
        row = msgspec.structs.replace(row, physical_id=physical)
        await run.mark(row, "CREATE_IN_PROGRESS", INITIATED)
    if run.operation.phase == "forward" and run.operation.failing:
        await advance(run)
    run.save()


async def failed(
    tx: Tx, call: Call, attempt: Attempt, reason: str, physical_id: str = "", wanted: Any = None
) -> None:
    """An attempt has failed for good."""
    found = await current(tx, call, attempt)
    if found is None:
        return
    run, step = found
    row = await RESOURCES.get(tx, attempt.stack, step.logical_id)
    if step.action == "delete":
        await _delete_failed(run, step, reason)
    elif row is not None or wanted is not None:
        await _failed(run, step, row or wanted, reason, physical_id)
        return
    run.save()


async def _failed(run: Run, step: Step, row: Resource, reason: str, physical_id: str) -> None:
    creating = step.mode in ("create", "") and not row.stands
    if creating:
        row = msgspec.structs.replace(row, physical_id=row.physical_id or physical_id)
    before = step.before or (row if row.stands else None)
    await run.mark(row, "CREATE_FAILED" if creating else "UPDATE_FAILED", reason)
    run.put_step(
        step,
        status="failed",
        mode=step.mode or ("create" if creating else "none"),
        before=before,
    )
    operation = run.operation
    run.change(failed=(*operation.failed, step.logical_id))
    if operation.phase == "forward" and not operation.failing:
        run.change(failing=reason)
    await advance(run)
    run.save()


async def _delete_failed(run: Run, step: Step, reason: str) -> None:
    assert step.what is not None
    await run.mark(step.what, "DELETE_FAILED", reason, keep=await _is_row(run, step.what))
    run.put_step(step, status="failed")
    run.change(failed=(*run.operation.failed, step.logical_id))
    await advance(run)


async def _is_row(run: Run, resource: Resource) -> bool:
    """Whether the resource is what stands under its logical id, not what was replaced."""
    row = await RESOURCES.get(run.tx, run.stack.id, resource.logical_id)
    return row is not None and row.physical_id == resource.physical_id


async def deleting(tx: Tx, call: Call, attempt: Attempt) -> bool:
    """A delete is about to begin: say so, once."""
    found = await current(tx, call, attempt)
    if found is None:
        return False
    run, step = found
    assert step.what is not None
    if step.mode != "begun":
        await run.mark(step.what, "DELETE_IN_PROGRESS", keep=await _is_row(run, step.what))
        run.put_step(step, mode="begun")
        run.save()
    return True


async def deleted(tx: Tx, call: Call, attempt: Attempt, status: str = "DELETE_COMPLETE") -> None:
    """What a delete step was about is gone, or is left alone (DELETE_SKIPPED)."""
    found = await current(tx, call, attempt)
    if found is None:
        return
    run, step = found
    resource = step.what
    assert resource is not None
    is_row = await _is_row(run, resource)
    whole = run.operation.phase in ("delete", "rollback")
    gone = msgspec.structs.replace(resource, stands=False)
    await run.mark(gone, status, keep=is_row and whole)
    if is_row and not whole:
        await run.forget_resource(resource.logical_id)
    run.put_step(step, status="skipped" if status == "DELETE_SKIPPED" else "done")
    await advance(run)
    run.save()


async def reverting(tx: Tx, call: Call, attempt: Attempt) -> Step | None:
    """A revert is about to begin: say so, once."""
    found = await current(tx, call, attempt)
    if found is None:
        return None
    run, step = found
    assert step.before is not None
    row = await RESOURCES.get(tx, attempt.stack, step.logical_id)
    if not step.state.get("begun"):
        shown = row or step.before
        await run.mark(shown, "UPDATE_IN_PROGRESS", properties=step.before.properties)
        step = run.put_step(step, state={"begun": True})
        run.save()
    return step


async def reverted(
    tx: Tx, call: Call, attempt: Attempt, attributes: Mapping[str, Any] | None
) -> None:
    """A resource is again what it was; ``attributes`` None where nothing had to be done to it."""
    found = await current(tx, call, attempt)
    if found is None:
        return
    run, step = found
    before = step.before
    assert before is not None
    row = await RESOURCES.get(tx, attempt.stack, step.logical_id)
    leftovers = step.leftovers
    if row is not None and row.physical_id != before.physical_id:
        leftovers = (*leftovers, row)
    restored = before
    if attributes is not None:
        restored = msgspec.structs.replace(before, attributes=attributes)
    if step.mode == "none" and leftovers == step.leftovers:
        await run.put_resource(restored)
    else:
        await run.mark(restored, "UPDATE_COMPLETE")
    run.put_step(step, status="done", leftovers=leftovers)
    await advance(run)
    run.save()
