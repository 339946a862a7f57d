"""What happens next in an operation: decided in the transaction that ended a step."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skyfold.kernel.jobs import schedule
from skyfold.services.cloudformation.deploy.plan import delete_steps, revert_steps
from skyfold.services.cloudformation.deploy.run import FORGET_JOB, TIMEOUT_JOB, Run
from skyfold.services.cloudformation.deploy.scope import template_of
from skyfold.services.cloudformation.limits import ALL_RESOURCES, DELETED_STACKS_KEPT_MS
from skyfold.services.cloudformation.tables import (
    CHANGE_SET_IDS,
    CHANGE_SETS,
    DEFINITIONS,
    EXPORTS,
    STACK_NAMES,
    STEPS,
    Resource,
    Step,
)

DONE = frozenset({"done", "skipped"})
BUSY = frozenset({"running", "stalled"})


async def advance(run: Run) -> None:
    """Start what can be started; where nothing is left to do, go to the next phase."""
    steps = await run.steps()
    operation = run.operation
    if operation.phase == "forward" and operation.failing:
        await _cancel_stalled(run, steps)
        if not any(step.status == "running" for step in steps):
            await fail(run)
        return
    if operation.phase not in ("forward", "cleanup", "rollback", "rollback-cleanup", "delete"):
        return
    finished = {step.name for step in steps if step.status in DONE}
    started = False
    for step in steps:
        if step.status == "waiting" and finished.issuperset(step.needs):
            await run.start_step(step)
            started = True
    if not started and not any(step.status in BUSY for step in steps):
        await _phase_over(run, steps)


async def begin_phase(run: Run, phase: str, steps: Iterable[Step]) -> None:
    """Take up ``steps``; those of the phase before are forgotten."""
    run.change(phase=phase, failed=())
    STEPS.delete_all(run.tx, run.stack.id)
    for step in steps:
        STEPS.put(run.tx, step)
    await advance(run)


async def _cancel_stalled(run: Run, steps: list[Step]) -> None:
    rows = await run.resources()
    for at, step in enumerate(steps):
        if step.status != "stalled":
            continue
        await run.cancel_step(step)
        verb = "CREATE" if step.mode == "create" else "UPDATE"
        word = "creation" if verb == "CREATE" else "update"
        row = rows.get(step.logical_id)
        if row is not None:
            physical = str(step.state.get("physical_id", "")) or row.physical_id
            if step.mode == "create":
                row = msgspec.structs.replace(row, physical_id=physical)
            await run.mark(row, f"{verb}_FAILED", f"Resource {word} cancelled")
        steps[at] = run.put_step(step, status="failed")


async def _phase_over(run: Run, steps: list[Step]) -> None:
    operation = run.operation
    undone = [step.logical_id for step in steps if step.status not in DONE]
    if operation.phase == "forward":
        run.change(phase="outputs")
        await run.schedule_finish()
    elif operation.phase == "cleanup":
        reason = "Update successful. One or more resources could not be deleted." if undone else ""
        await run.stack_status("UPDATE_COMPLETE", reason)
        await run.end_operation()
    elif operation.phase == "rollback-cleanup":
        await run.stack_status("UPDATE_ROLLBACK_COMPLETE")
        await run.end_operation()
    elif operation.phase == "delete":
        await _delete_over(run, operation.failed)
    elif operation.kind == "create":
        await _create_rollback_over(run, operation.failed)
    elif undone:
        listed = ", ".join(operation.failed)
        await run.stack_status(
            "UPDATE_ROLLBACK_FAILED", f"The following resource(s) failed to update: [{listed}]. "
        )
        run.change(phase="stuck")
    else:
        await _update_rolled_back(run, steps)


async def _delete_over(run: Run, failed: tuple[str, ...]) -> None:
    if failed:
        listed = ", ".join(failed)
        await run.stack_status(
            "DELETE_FAILED", f"The following resource(s) failed to delete: [{listed}]. "
        )
        await run.end_operation()
        return
    await stack_is_gone(run)


async def stack_is_gone(run: Run) -> None:
    """The name is free again; what is known of the stack is kept for a while under its id."""
    stack = run.stack
    await forget_exports(run)
    STACK_NAMES.delete(run.tx, stack.account, stack.region, stack.name)
    for change_set in await CHANGE_SETS.scan(run.tx, stack.id, limit=ALL_RESOURCES):
        CHANGE_SETS.delete(run.tx, stack.id, change_set.name)
        CHANGE_SET_IDS.delete(run.tx, change_set.id)
        if change_set.definition != stack.definition:
            DEFINITIONS.delete(run.tx, stack.id, change_set.definition)
    await schedule(
        run.tx,
        FORGET_JOB,
        stack.id,
        due_at=run.call.now + DELETED_STACKS_KEPT_MS,
        payload={"account": stack.account, "region": stack.region, "stack": stack.id},
    )
    run.change_stack(deleted_at=run.call.now)
    await run.stack_status("DELETE_COMPLETE")
    await run.end_operation()


async def _create_rollback_over(run: Run, failed: tuple[str, ...]) -> None:
    if run.operation.delete_wanted:
        await _delete_over(run, failed)
        return
    if failed:
        listed = ", ".join(failed)
        await run.stack_status(
            "ROLLBACK_FAILED", f"The following resource(s) failed to delete: [{listed}]. "
        )
    else:
        run.change_stack(deleted_at=run.call.now)
        await run.stack_status("ROLLBACK_COMPLETE")
    await run.end_operation()


async def forget_exports(run: Run) -> None:
    stack = run.stack
    for output in stack.outputs:
        if output.export is not None:
            found = await EXPORTS.get(run.tx, stack.account, stack.region, output.export)
            if found is not None and found.stack_id == stack.id:
                EXPORTS.delete(run.tx, stack.account, stack.region, output.export)


async def fail(run: Run, because: str = "") -> None:
    """Turn round: everything that was running has ended, and the operation cannot succeed.

    ``because`` replaces the list of failed resources, where it was no resource that failed.
    """
    operation = run.operation
    steps = await run.steps()
    told = because or _told(steps, operation.failed) or f"{operation.failing} "
    told = told if told.endswith(" ") else f"{told}. " if not told.endswith(".") else f"{told} "
    if operation.kind == "create":
        await _fail_create(run, told)
    elif operation.on_failure == "DO_NOTHING":
        await run.stack_status("UPDATE_FAILED", told)
        run.change(phase="stuck")
    elif not operation.previous:
        await run.stack_status("ROLLBACK_IN_PROGRESS", f"{told}Rollback requested by user.")
        run.change(kind="create")
        await delete_everything(run, "rollback")
    else:
        reason = operation.failing if operation.failing == "User Initiated" else told
        await run.stack_status("UPDATE_ROLLBACK_IN_PROGRESS", reason.rstrip())
        await roll_back_update(run, steps)


def _told(steps: list[Step], failed: tuple[str, ...]) -> str:
    by_name = {step.logical_id: step for step in steps}
    created = [n for n in failed if n in by_name and by_name[n].mode in ("create", "")]
    updated = [n for n in failed if n in by_name and n not in created]
    told = ""
    if created:
        told += f"The following resource(s) failed to create: [{', '.join(created)}]. "
    if updated:
        told += f"The following resource(s) failed to update: [{', '.join(updated)}]. "
    return told


async def _fail_create(run: Run, told: str) -> None:
    operation = run.operation
    if operation.delete_wanted:
        await delete_everything(run, "delete")
    elif operation.on_failure == "DO_NOTHING":
        await run.stack_status("CREATE_FAILED", told)
        await run.end_operation()
    elif operation.on_failure == "DELETE":
        await run.stack_status("DELETE_IN_PROGRESS", f"{told}Delete requested by user.")
        await delete_everything(run, "delete")
    else:
        await run.stack_status("ROLLBACK_IN_PROGRESS", f"{told}Rollback requested by user.")
        await delete_everything(run, "rollback")


async def delete_everything(run: Run, phase: str) -> None:
    """Delete all that the stack has, in the reverse of the order in which it was made."""
    rows = (await run.resources()).values()
    standing = [row for row in rows if row.status not in ("DELETE_COMPLETE", "DELETE_SKIPPED")]
    fresh = [row.logical_id for row in standing] if phase == "rollback" else []
    steps = delete_steps(run.stack.id, standing, retained=run.operation.retained, fresh=fresh)
    # What an earlier update that failed had replaced, and never came to clean up.
    by_name = {row.logical_id: row for row in standing}
    for old in await run.steps():
        for index, leftover in enumerate(_left_behind(old, by_name.get(old.logical_id))):
            name = f"~{old.name}.{index}"
            steps.append(
                Step(
                    stack_id=run.stack.id,
                    name=name,
                    action="delete",
                    logical_id=old.logical_id,
                    what=leftover,
                )
            )
    await begin_phase(run, phase, steps)


def _left_behind(step: Step, row: Resource | None) -> list[Resource]:
    """Physical resources that a step of an update has put out of use."""
    left = list(step.leftovers)
    before = step.before
    if before is not None and row is not None and row.physical_id != before.physical_id:
        left.append(msgspec.structs.replace(before, retain=row.retain_replaced))
    return left if step.action != "delete" else []


async def roll_back_update(run: Run, steps: list[Step]) -> None:
    """Bring back what was before: updates in place first, then what was made new is deleted."""
    previous = await run.definition(run.operation.previous)
    assert previous is not None, "an update that can be rolled back knows what was before"
    run.change_stack(
        definition=previous.id,
        description="" if not previous.processed else template_of(previous).description,
        notification_arns=previous.notification_arns,
    )
    applied = [step for step in steps if step.action == "apply" and (step.mode or step.before)]
    keep = [step for step in applied if step.before is None and step.mode == "create"]
    reverts = revert_steps(run.stack.id, applied)
    # Steps of resources that were created are kept as done, for the cleanup to find.
    for step in keep:
        reverts.append(msgspec.structs.replace(step, action="created", status="done"))
    run.change(failing="")
    await begin_phase(run, "rollback", reverts)


async def _update_rolled_back(run: Run, steps: list[Step]) -> None:
    await run.stack_status("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    rows = await run.resources()
    doomed: list[Resource] = []
    fresh: list[str] = []
    for step in steps:
        if step.action == "created" and step.logical_id in rows:
            doomed.append(rows[step.logical_id])
            fresh.append(step.logical_id)
        doomed += step.leftovers
    await begin_phase(run, "rollback-cleanup", delete_steps(run.stack.id, doomed, fresh=fresh))


async def begin_cleanup(run: Run) -> None:
    """The update has succeeded: delete what was replaced and what the template has no more."""
    await run.stack_status("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    steps = await run.steps()
    rows = await run.resources()
    wanted = {step.logical_id for step in steps if step.action == "apply"}
    doomed = [row for name, row in rows.items() if name not in wanted]
    for step in steps:
        doomed += _left_behind(step, rows.get(step.logical_id))
    await begin_phase(run, "cleanup", delete_steps(run.stack.id, doomed))


async def schedule_timeout(run: Run, minutes: int) -> None:
    due_at = run.call.now + minutes * 60_000
    await schedule(run.tx, TIMEOUT_JOB, run.stack.id, due_at=due_at, payload=run.payload())
