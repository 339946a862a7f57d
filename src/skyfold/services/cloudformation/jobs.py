"""What runs on a timer: steps, the end of an operation, creation timeouts."""

from __future__ import annotations

from skyfold.kernel.jobs import Again, Job, JobRow
from skyfold.kernel.platform import Platform
from skyfold.services.cloudformation.deploy.advance import advance
from skyfold.services.cloudformation.deploy.finish import run_finish
from skyfold.services.cloudformation.deploy.roles import operation_call
from skyfold.services.cloudformation.deploy.run import (
    FINISH_JOB,
    FORGET_HANDLE_JOB,
    FORGET_JOB,
    STEP_JOB,
    TIMEOUT_JOB,
    Run,
    resources_of,
)
from skyfold.services.cloudformation.deploy.steps import run_step
from skyfold.services.cloudformation.tables import (
    BY_PHYSICAL_ID,
    DEFINITIONS,
    EVENTS,
    HANDLES,
    OPERATIONS,
    RESOURCES,
    SIGNALS,
    STACKS,
    STACKS_BY_TIME,
)
from skyfold.store.api import Tx


async def time_out(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """A stack was not created within its TimeoutInMinutes."""
    payload = row.payload
    operation = await OPERATIONS.get(tx, payload["stack"])
    if operation is None or operation.id != payload["operation"] or operation.kind != "create":
        return None
    if operation.phase not in ("forward", "outputs") or operation.failing:
        return None
    call = operation_call(platform, operation)
    run = await Run.load(tx, call, payload["account"], payload["region"], payload["stack"])
    if run is not None:
        run.change(phase="forward", failing="Stack creation time exceeded the specified timeout")
        await advance(run)
        run.save()
    return None


async def forget(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """A stack was deleted so long ago that nothing needs to be known of it any more."""
    account, region, id = (row.payload[part] for part in ("account", "region", "stack"))
    stack = await STACKS.get(tx, account, region, id)
    if stack is not None and stack.status == "DELETE_COMPLETE":
        for resource in (await resources_of(tx, id)).values():
            listing = (account, region, resource.physical_id, id, resource.logical_id)
            BY_PHYSICAL_ID.delete(tx, *listing)
        for table in (RESOURCES, EVENTS, DEFINITIONS):
            table.delete_all(tx, id)
        STACKS_BY_TIME.delete(tx, account, region, stack.created_at, id)
        STACKS.delete(tx, account, region, id)
    return None


async def forget_handle(tx: Tx, platform: Platform, row: JobRow) -> Again | None:
    """Nobody waits for an answer at this URL any more."""
    HANDLES.delete(tx, row.payload["handle"])
    SIGNALS.delete_all(tx, row.payload["handle"])
    return None


JOBS = {
    STEP_JOB: Job(run=run_step),
    FINISH_JOB: Job(run=run_finish),
    TIMEOUT_JOB: Job(tx=time_out),
    FORGET_JOB: Job(tx=forget),
    FORGET_HANDLE_JOB: Job(tx=forget_handle),
}
