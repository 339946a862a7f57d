"""The first transaction of an operation: its row, its steps, the stack's new status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.kernel.call import Call
from skyfold.services.cloudformation.deploy.advance import (
    advance,
    delete_everything,
    roll_back_update,
    schedule_timeout,
    stack_is_gone,
)
from skyfold.services.cloudformation.deploy.finish import importers
from skyfold.services.cloudformation.deploy.plan import apply_steps
from skyfold.services.cloudformation.deploy.roles import acting_principal
from skyfold.services.cloudformation.deploy.run import Run
from skyfold.services.cloudformation.deploy.scope import scope_for, template_of
from skyfold.services.cloudformation.engine.stack_policy import allows
from skyfold.services.cloudformation.engine.template import graph
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.tables import (
    DEFINITIONS,
    STACK_NAMES,
    STACKS_BY_TIME,
    STEPS,
    Definition,
    Operation,
    Stack,
    StackName,
    Step,
)
from skyfold.store.api import Tx

USER_INITIATED = "User Initiated"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about the operation rather than about the stack."""

    token: str = ""
    action: str = ""
    role_arn: str = ""
    on_failure: str = "ROLLBACK"
    change_set: str = ""
    policy_during_update: str | None = None
    problem: str = ""
    """Why the operation has to turn round at once: a transform that failed."""
    import_existing: bool = False
    fields: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Fields of the stack that the request sets."""


def insert_stack(tx: Tx, stack: Stack) -> None:
    """Take the name, and a place in the listing."""
    STACK_NAMES.put(
        tx, StackName(account=stack.account, region=stack.region, name=stack.name, id=stack.id)
    )
    STACKS_BY_TIME.put(tx, stack.account, stack.region, stack.created_at, stack.id)


async def _operation(run: Run, call: Call, kind: str, options: Options, **fields: Any) -> None:
    role = options.role_arn or run.stack.role_arn
    principal = await acting_principal(run.tx, call, role, run.stack.arn)
    operation = Operation(
        stack_id=run.stack.id,
        account=run.stack.account,
        region=run.stack.region,
        id=call.new_id(),
        kind=kind,
        phase=fields.pop("phase", "forward"),
        principal=call.platform.packed_principal(principal),
        started_at=call.now,
        role_arn=role,
        token=options.token,
        on_failure=options.on_failure,
        policy_during_update=options.policy_during_update,
        previous_status=run.stack.status,
        import_existing=options.import_existing,
        **fields,
    )
    run.begin(operation)
    run.change_stack(
        role_arn=role, last_token=options.token, last_action=options.action, **options.fields
    )
    if options.change_set:
        run.change_stack(change_set=options.change_set)


async def begin_create(
    tx: Tx, call: Call, stack: Stack, definition: Definition, options: Options
) -> Stack:
    """Start to make a stack that has its name already."""
    run = Run(tx, call, stack, None)
    DEFINITIONS.put(tx, definition)
    run.change_stack(
        definition=definition.id,
        description=_description(definition, options.problem),
        notification_arns=definition.notification_arns,
    )
    await _operation(run, call, "create", options, target=definition.id)
    await run.stack_status("CREATE_IN_PROGRESS", USER_INITIATED)
    if stack.timeout_minutes:
        await schedule_timeout(run, stack.timeout_minutes)
    await _go(run, definition, options, {})
    run.save()
    return run.stack


async def begin_update(
    tx: Tx, call: Call, stack: Stack, definition: Definition, options: Options
) -> Stack:
    """Start to bring a stack from the definition it has to another."""
    old = await Run.load(tx, call, stack.account, stack.region, stack.id)
    assert old is not None, "the caller has just read the stack"
    earlier: dict[str, Step] = {}
    previous = stack.definition
    if old.has_operation:  # an update that failed and was left as it was
        earlier = {s.logical_id: s for s in await old.steps() if s.action == "apply"}
        previous = old.operation.previous
    run = Run(tx, call, stack, None)
    if stack.status == "CREATE_FAILED":
        previous = ""
    DEFINITIONS.put(tx, definition)
    had = await run.definition(previous)
    tags_changed = had is not None and dict(had.tags) != dict(definition.tags)
    await _operation(
        run,
        call,
        "update",
        options,
        target=definition.id,
        previous=previous,
        tags_changed=tags_changed,
    )
    run.change_stack(
        definition=definition.id,
        description=_description(definition, options.problem),
        notification_arns=definition.notification_arns,
        updated_at=call.now,
    )
    await run.stack_status("UPDATE_IN_PROGRESS", USER_INITIATED)
    await _go(run, definition, options, earlier)
    run.save()
    return run.stack


def _description(definition: Definition, problem: str) -> str:
    return "" if problem else template_of(definition).description


async def _go(
    run: Run, definition: Definition, options: Options, earlier: Mapping[str, Step]
) -> None:
    """Write the steps and start the first ones."""
    if options.problem:
        run.change(failing=options.problem)
        await advance(run)
        return
    template = template_of(definition)
    holds = scope_for(run.stack, definition).holds
    included = template.included(holds)
    STEPS.delete_all(run.tx, run.stack.id)
    for step in apply_steps(run.stack.id, included, graph(included, holds), earlier):
        STEPS.put(run.tx, step)
    await _check_removals(run, set(included))
    await advance(run)


async def _check_removals(run: Run, included: set[str]) -> None:
    policy = run.operation.policy_during_update or run.stack.policy
    if not policy or run.operation.kind != "update":
        return
    for name, row in (await run.resources()).items():
        if name in included or allows(policy, "Update:Delete", name, row.type):
            continue
        reason = (
            "Action denied by stack policy: Statement does not allow [Update:Delete] "
            f"for resource [{name}]"
        )
        await run.mark(row, "UPDATE_FAILED", reason, keep=False)
        run.change(failing=reason)


async def begin_delete(
    tx: Tx, call: Call, stack: Stack, options: Options, *, retained: tuple[str, ...] = ()
) -> None:
    """Start to delete a stack, or have the operation under way turn to deleting it."""
    run = await Run.load(tx, call, stack.account, stack.region, stack.id)
    assert run is not None, "the caller has just read the stack"
    if stack.status in ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS") and run.has_operation:
        run.change(delete_wanted=True, token=options.token)
        await run.stack_status("DELETE_IN_PROGRESS", USER_INITIATED)
        if run.operation.phase in ("forward", "outputs"):
            run.change(phase="forward", failing=USER_INITIATED)
            await advance(run)
        run.save()
        return
    before = stack.status
    refused = await _exports_in_use(run)
    if refused:
        await run.stack_status("DELETE_IN_PROGRESS", USER_INITIATED)
        await run.stack_status(before, f"Delete canceled. {refused}")
        run.save()
        return
    run = Run(tx, call, stack, None)
    await _operation(run, call, "delete", options, phase="delete", retained=retained)
    await run.stack_status("DELETE_IN_PROGRESS", USER_INITIATED)
    if before == "REVIEW_IN_PROGRESS":
        await stack_is_gone(run)
    else:
        await delete_everything(run, "delete")
    run.save()


async def _exports_in_use(run: Run) -> str:
    stack = run.stack
    for output in stack.outputs:
        if output.export is None:
            continue
        users = await importers(run.tx, stack.account, stack.region, output.export)
        if users:
            return f"Cannot delete export {output.export} as it is in use by {', '.join(users)}."
    return ""


async def begin_rollback(tx: Tx, call: Call, stack: Stack, options: Options) -> None:
    """Take a create or an update that failed and was left alone back to the last stable state."""
    run = await Run.load(tx, call, stack.account, stack.region, stack.id)
    assert run is not None, "the caller has just read the stack"
    if stack.status == "CREATE_FAILED":
        await _operation(run, call, "create", options, phase="rollback")
        await run.stack_status("ROLLBACK_IN_PROGRESS", USER_INITIATED)
        await delete_everything(run, "rollback")
    else:
        await _resume(run, call, options)
        await run.stack_status("UPDATE_ROLLBACK_IN_PROGRESS", USER_INITIATED)
        await roll_back_update(run, await run.steps())
    run.save()


async def _resume(run: Run, call: Call, options: Options) -> None:
    """Go on with the operation that got stuck, under a new id and perhaps a new role."""
    role = options.role_arn or run.stack.role_arn
    principal = await acting_principal(run.tx, call, role, run.stack.arn)
    run.change(
        id=call.new_id(),
        principal=call.platform.packed_principal(principal),
        role_arn=role,
        token=options.token,
        failing="",
        failed=(),
        on_failure="ROLLBACK",
    )
    run.change_stack(role_arn=role, last_token=options.token, last_action=options.action)


async def continue_rollback(
    tx: Tx, call: Call, stack: Stack, options: Options, skipped: tuple[str, ...]
) -> None:
    """Try again to roll back what could not be, but for what is to be skipped."""
    run = await Run.load(tx, call, stack.account, stack.region, stack.id)
    assert run is not None and run.has_operation, "a failed rollback keeps its operation"
    steps = await run.steps()
    failed = {step.logical_id for step in steps if step.status == "failed"}
    strange = [name for name in skipped if name not in failed]
    if strange:
        raise ValidationError(
            f"The following resources cannot be skipped, because they did not fail to roll back: "
            f"[{', '.join(strange)}]"
        )
    await _resume(run, call, options)
    await run.stack_status("UPDATE_ROLLBACK_IN_PROGRESS", USER_INITIATED)
    rows = await run.resources()
    for step in steps:
        if step.status != "failed":
            continue
        if step.logical_id in skipped:
            run.put_step(step, status="skipped")
            if step.logical_id in rows:
                await run.mark(rows[step.logical_id], "UPDATE_COMPLETE")
        else:
            run.put_step(step, status="waiting", token="", state={})
    run.change(phase="rollback")
    await advance(run)
    run.save()


async def cancel_update(tx: Tx, call: Call, stack: Stack) -> None:
    """Turn an update round that is under way."""
    run = await Run.load(tx, call, stack.account, stack.region, stack.id)
    assert run is not None and run.has_operation, "an update under way has its operation"
    run.change(phase="forward", failing=USER_INITIATED, on_failure="ROLLBACK")
    await advance(run)
    run.save()


def check_can_be_deleted(stack: Stack) -> None:
    if stack.termination_protection:
        raise ValidationError(
            f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        )
    if stack.status.endswith("_IN_PROGRESS") and stack.status not in (
        "CREATE_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
        "REVIEW_IN_PROGRESS",
    ):
        raise ValidationError(
            f"Stack [{stack.arn}] cannot be deleted while in status {stack.status}"
        )
