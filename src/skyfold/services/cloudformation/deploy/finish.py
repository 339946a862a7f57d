"""The end of a create or an update: outputs and exports, or the turn back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.jobs import Again, JobRow
from skyfold.kernel.platform import Platform
from skyfold.services.cloudformation.deploy.advance import begin_cleanup, fail
from skyfold.services.cloudformation.deploy.dynamic import resolved
from skyfold.services.cloudformation.deploy.roles import operation_call
from skyfold.services.cloudformation.deploy.run import Run, resources_of
from skyfold.services.cloudformation.deploy.scope import (
    Standing,
    scope_for,
    template_of,
    with_exports,
)
from skyfold.services.cloudformation.engine.intrinsics import evaluate, text_of
from skyfold.services.cloudformation.errors import ValidationError
from skyfold.services.cloudformation.tables import (
    DEFINITIONS,
    EXPORTS,
    IMPORTS,
    OPERATIONS,
    STACKS,
    Definition,
    Export,
    Operation,
    Output,
    Resource,
    Stack,
)
from skyfold.store.api import ReadTx, Tx

log = logging.getLogger("skyfold.cloudformation")

Loaded = tuple[Stack, Operation, Definition, dict[str, Resource]]


async def _load(tx: ReadTx, payload: Mapping[str, Any]) -> Loaded | None:
    stack = await STACKS.get(tx, payload["account"], payload["region"], payload["stack"])
    operation = await OPERATIONS.get(tx, payload["stack"])
    if stack is None or operation is None or operation.id != payload["operation"]:
        return None
    if operation.phase != "outputs":
        return None
    definition = await DEFINITIONS.get(tx, stack.id, operation.target)
    assert definition is not None
    return stack, operation, definition, await resources_of(tx, stack.id)


async def run_finish(platform: Platform, row: JobRow) -> Again | None:
    """The job ``cloudformation.finish``."""
    loaded = await platform.store.read(_load, row.payload)
    if loaded is None:
        return None
    stack, operation, definition, rows = loaded
    call = operation_call(platform, operation)
    outputs: tuple[Output, ...] = ()
    imports: tuple[str, ...] = ()
    problem = ""
    try:
        outputs, imports = await _outputs(call, stack, definition, rows)
    except AwsError as refused:
        problem = refused.text
    await call.write(_finish, call, row.payload, outputs, imports, problem)
    return None


async def _outputs(
    call: Call, stack: Stack, definition: Definition, rows: dict[str, Resource]
) -> tuple[tuple[Output, ...], tuple[str, ...]]:
    template = template_of(definition)
    holds = scope_for(stack, definition).holds
    standing = Standing(stack, rows, set(template.included(holds)))

    def evaluated(exports: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
        scope = scope_for(stack, definition, standing.reference, standing.attribute, exports)
        found = []
        for key, body in template.outputs.items():
            if body.get("Condition") and not holds(body["Condition"]):
                continue
            try:
                value = evaluate(body["Value"], scope)
                export = evaluate((body.get("Export") or {}).get("Name"), scope)
            except ValidationError as refused:
                where = f"/Outputs/{key}/Value"
                if isinstance(body["Value"], dict) and len(body["Value"]) == 1:
                    where += f"/{next(iter(body['Value']))}"
                raise ValidationError(f"[Error] {where}: {refused.text}") from refused
            found.append((key, value, export, body.get("Description")))
        return found

    found, imports = await with_exports(call, stack, evaluated)
    outputs = []
    for key, value, export, description in found:
        value = await resolved(value, call)
        if isinstance(value, list | dict):
            raise ValidationError(
                f"Template format error: Output {key} is malformed. The Value field of every "
                "Outputs member must evaluate to a String."
            )
        outputs.append(
            Output(
                key=key,
                value=text_of(value),
                description=None if description is None else text_of(description),
                export=None if export is None else text_of(export),
            )
        )
    return tuple(outputs), imports


async def _finish(
    tx: Tx,
    call: Call,
    payload: Mapping[str, Any],
    outputs: tuple[Output, ...],
    imports: tuple[str, ...],
    problem: str,
) -> None:
    run = await Run.load(tx, call, payload["account"], payload["region"], payload["stack"])
    if run is None or not run.has_operation or run.operation.id != payload["operation"]:
        return
    if run.operation.phase != "outputs":
        return
    problem = problem or await _exports_refused(run, outputs)
    if run.operation.failing:
        problem = run.operation.failing
    if problem:
        run.change(phase="forward", failing=problem)
        await fail(run, problem)
        run.save()
        return
    await _put_exports(run, outputs)
    run.hold_imports(imports)
    run.change_stack(outputs=outputs, output_imports=imports, definition=run.operation.target)
    if run.operation.kind == "create":
        await run.stack_status("CREATE_COMPLETE")
        await run.end_operation()
    else:
        await begin_cleanup(run)
    run.save()


async def _exports_refused(run: Run, outputs: tuple[Output, ...]) -> str:
    """Why these exports cannot take the place of those that the stack has; empty if they can."""
    stack = run.stack
    wanted = {output.export: output.value for output in outputs if output.export is not None}
    if len(wanted) < sum(1 for output in outputs if output.export is not None):
        return "Template error: an export name may be used by one output only"
    for name in wanted:
        found = await EXPORTS.get(run.tx, stack.account, stack.region, name)
        if found is not None and found.stack_id != stack.id:
            owner = await STACKS.get(run.tx, stack.account, stack.region, found.stack_id)
            other = owner.name if owner else found.stack_id
            return f"Export with name {name} is already exported by stack {other}"
    for output in stack.outputs:
        if output.export is None or wanted.get(output.export) == output.value:
            continue
        users = await importers(run.tx, stack.account, stack.region, output.export)
        if users:
            verb = "updated" if output.export in wanted else "deleted"
            listed = ", ".join(users)
            return f"Export {output.export} cannot be {verb} as it is in use by {listed}"
    return ""


async def importers(tx: ReadTx, account: str, region: str, export: str) -> list[str]:
    """The names of the stacks that hold on to an export."""
    names = []
    for entry in await IMPORTS.scan(tx, account, region, export, limit=1000):
        stack = await STACKS.get(tx, account, region, entry[3])
        if stack is not None:
            names.append(stack.name)
    return names


async def _put_exports(run: Run, outputs: tuple[Output, ...]) -> None:
    stack = run.stack
    for old in stack.outputs:
        if old.export is not None:
            EXPORTS.delete(run.tx, stack.account, stack.region, old.export)
    for output in outputs:
        if output.export is not None:
            EXPORTS.put(
                run.tx,
                Export(
                    account=stack.account,
                    region=stack.region,
                    name=output.export,
                    value=output.value,
                    stack_id=stack.id,
                ),
            )
