"""One transaction's view of a stack and the operation it is going through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel.call import Call
from skyfold.kernel.delivery import Parcel, deliver
from skyfold.kernel.jobs import cancel, schedule
from skyfold.services.cloudformation.limits import ALL_RESOURCES
from skyfold.services.cloudformation.tables import (
    BY_PHYSICAL_ID,
    DEFINITIONS,
    EVENTS,
    IMPORTS,
    OPERATIONS,
    RESOURCES,
    STACKS,
    STEPS,
    Definition,
    Event,
    Operation,
    Resource,
    Stack,
    Step,
)
from skyfold.store.api import ReadTx, Tx

STEP_JOB = "cloudformation.step"
FINISH_JOB = "cloudformation.finish"
TIMEOUT_JOB = "cloudformation.timeout"
FORGET_JOB = "cloudformation.forget"
FORGET_HANDLE_JOB = "cloudformation.forget_handle"
STACK_TYPE = "AWS::CloudFormation::Stack"


def iso(at: int) -> str:
    """A moment as events write it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Run:
    """The rows of one stack, read once, changed by one transaction and written by ``save``."""

    def __init__(self, tx: Tx, call: Call, stack: Stack, operation: Operation | None) -> None:
        self.tx, self.call, self.stack = tx, call, stack
        self._operation = operation

    @classmethod
    async def load(cls, tx: Tx, call: Call, account: str, region: str, stack_id: str) -> Run | None:
        stack = await STACKS.get(tx, account, region, stack_id)
        if stack is None:
            return None
        return cls(tx, call, stack, await OPERATIONS.get(tx, stack_id))

    @property
    def operation(self) -> Operation:
        assert self._operation is not None, "no operation is under way"
        return self._operation

    @property
    def has_operation(self) -> bool:
        return self._operation is not None

    def begin(self, operation: Operation) -> None:
        self._operation = operation

    def change(self, **fields: Any) -> None:
        """Change fields of the operation."""
        self._operation = msgspec.structs.replace(self.operation, **fields)

    def change_stack(self, **fields: Any) -> None:
        self.stack = msgspec.structs.replace(self.stack, **fields)

    async def steps(self) -> list[Step]:
        return await STEPS.scan(self.tx, self.stack.id, limit=ALL_RESOURCES)

    async def resources(self) -> dict[str, Resource]:
        return await resources_of(self.tx, self.stack.id)

    async def definition(self, id: str) -> Definition | None:
        return await DEFINITIONS.get(self.tx, self.stack.id, id) if id else None

    def put_step(self, step: Step, **fields: Any) -> Step:
        changed = msgspec.structs.replace(step, **fields)
        STEPS.put(self.tx, changed)
        return changed

    async def put_resource(self, resource: Resource) -> None:
        old = await RESOURCES.get(self.tx, self.stack.id, resource.logical_id)
        if old is not None and old.physical_id and old.physical_id != resource.physical_id:
            self._unlist(old)
        if resource.physical_id:
            BY_PHYSICAL_ID.put(self.tx, *self._listing(resource))
        RESOURCES.put(self.tx, resource)

    async def forget_resource(self, logical_id: str) -> None:
        old = await RESOURCES.get(self.tx, self.stack.id, logical_id)
        if old is not None:
            self._unlist(old)
            RESOURCES.delete(self.tx, self.stack.id, logical_id)

    def _unlist(self, resource: Resource) -> None:
        if resource.physical_id:
            BY_PHYSICAL_ID.delete(self.tx, *self._listing(resource))

    def _listing(self, resource: Resource) -> tuple[str, str, str, str, str]:
        stack = self.stack
        return (
            stack.account,
            stack.region,
            resource.physical_id,
            stack.id,
            resource.logical_id,
        )

    async def mark(
        self,
        resource: Resource,
        status: str,
        reason: str = "",
        *,
        properties: Mapping[str, Any] | None = None,
        keep: bool = True,
    ) -> Resource:
        """Give the resource a status, with its event; of ``keep`` False only the event."""
        changed = msgspec.structs.replace(resource, status=status, reason=reason, at=self.call.now)
        if keep:
            await self.put_resource(changed)
        shown = resource.properties if properties is None else properties
        await self.event(
            logical_id=resource.logical_id,
            physical_id=resource.physical_id,
            kind=resource.type,
            status=status,
            reason=reason,
            properties=json.dumps(shown, separators=(",", ":"), ensure_ascii=False),
        )
        return changed

    async def stack_status(self, status: str, reason: str = "") -> None:
        """Give the stack a status, with its event."""
        self.change_stack(status=status, status_reason=reason)
        await self.event(
            logical_id=self.stack.name,
            physical_id=self.stack.arn,
            kind=STACK_TYPE,
            status=status,
            reason=reason,
        )

    async def event(
        self,
        *,
        logical_id: str,
        physical_id: str,
        kind: str,
        status: str,
        reason: str = "",
        properties: str | None = None,
    ) -> None:
        # Tools tell events apart by id and follow them by time: no two share a millisecond.
        now = max(self.call.now, self.stack.last_event_at + 1)
        of_stack = kind == STACK_TYPE and physical_id == self.stack.arn
        operation = self._operation
        event = Event(
            stack_id=self.stack.id,
            seq=self.stack.events + 1,
            id=self.call.new_id() if of_stack else f"{logical_id}-{status}-{iso(now)}",
            at=now,
            logical_id=logical_id,
            physical_id=physical_id,
            type=kind,
            status=status,
            reason=reason,
            properties=properties,
            token=operation.token if operation else "",
            operation=operation.id if operation else "",
        )
        EVENTS.put(self.tx, event)
        self.change_stack(events=event.seq, last_event_at=now)
        await self._notify(event)

    async def _notify(self, event: Event) -> None:
        for topic in self.stack.notification_arns:
            parcel = Parcel(body=_notice(self, event), subject="AWS CloudFormation Notification")
            try:
                await deliver(self.tx, self.call, topic, parcel)
            except AwsError:  # a topic that is gone must not hold up a stack
                continue

    async def start_step(self, step: Step) -> None:
        started = self.put_step(
            step,
            status="running",
            token=step.token or self.call.platform.ids.lower(24),
            started_at=self.call.now,
        )
        await schedule_step(self.tx, self.operation, started, self.call.now)

    async def schedule_finish(self) -> None:
        await schedule(
            self.tx, FINISH_JOB, self.stack.id, due_at=self.call.now, payload=self.payload()
        )

    def payload(self) -> dict[str, str]:
        stack = self.stack
        return {
            "account": stack.account,
            "region": stack.region,
            "stack": stack.id,
            "operation": self.operation.id,
        }

    async def cancel_step(self, step: Step) -> None:
        await cancel(self.tx, STEP_JOB, step_key(step))

    async def end_operation(self) -> None:
        """The operation is over: forget it, its steps, and definitions that nothing names."""
        STEPS.delete_all(self.tx, self.stack.id)
        OPERATIONS.delete(self.tx, self.stack.id)
        await cancel(self.tx, TIMEOUT_JOB, self.stack.id)
        for old in {self.operation.target, self.operation.previous} - {self.stack.definition, ""}:
            DEFINITIONS.delete(self.tx, self.stack.id, old)
        self._operation = None
        await self._settle_imports()
        await self._wake_parent()

    async def _wake_parent(self) -> None:
        """The step of the stack above that waits for this nested one need not wait longer."""
        arn = parse_arn(self.stack.parent)
        if arn is not None:
            await wake_stalled(self.tx, self.call.now, arn.resource.split("/")[2])

    async def _settle_imports(self) -> None:
        """Hold on to just those exports that the stack is now made from."""
        used = set(self.stack.output_imports)
        if self.stack.status != "DELETE_COMPLETE":
            for resource in (await self.resources()).values():
                used.update(resource.imports)
        else:
            used = set()
        stack = self.stack
        for name in set(stack.imports) - used:
            IMPORTS.delete(self.tx, stack.account, stack.region, name, stack.id)
        self.hold_imports(tuple(sorted(used)), only=True)

    def hold_imports(self, names: tuple[str, ...], *, only: bool = False) -> None:
        stack = self.stack
        for name in names:
            IMPORTS.put(self.tx, stack.account, stack.region, name, stack.id)
        held = set(names) if only else {*stack.imports, *names}
        self.change_stack(imports=tuple(sorted(held)))

    def save(self) -> None:
        """Write the stack and the operation. The last thing every transaction does."""
        STACKS.put(self.tx, self.stack)
        if self._operation is not None:
            OPERATIONS.put(self.tx, self._operation)


def step_key(step: Step) -> str:
    """The job of one try at a step: another try is another job, whatever became of this one."""
    return f"{step.stack_id}/{step.name}/{step.token}"


async def schedule_step(tx: Tx, operation: Operation, step: Step, due_at: int) -> None:
    payload = {
        "account": operation.account,
        "region": operation.region,
        "stack": step.stack_id,
        "operation": operation.id,
        "step": step.name,
        "token": step.token,
    }
    await schedule(tx, STEP_JOB, step_key(step), due_at=due_at, payload=payload)


async def wake_stalled(tx: Tx, now: int, stack_id: str) -> None:
    """Have every step of a stack that waits for something look again, now."""
    operation = await OPERATIONS.get(tx, stack_id)
    if operation is None:
        return
    for step in await STEPS.scan(tx, stack_id, limit=ALL_RESOURCES):
        if step.status in ("stalled", "running"):
            await schedule_step(tx, operation, step, now)


async def resources_of(tx: ReadTx, stack_id: str) -> dict[str, Resource]:
    rows = await RESOURCES.scan(tx, stack_id, limit=ALL_RESOURCES)
    return {row.logical_id: row for row in rows}


def _notice(run: Run, event: Event) -> str:
    """The text that a notification topic gets for an event."""
    fields = {
        "StackId": run.stack.arn,
        "Timestamp": iso(event.at),
        "EventId": event.id,
        "LogicalResourceId": event.logical_id,
        "Namespace": run.stack.account,
        "PhysicalResourceId": event.physical_id,
        "PrincipalId": run.call.principal.id,
        "ResourceProperties": event.properties or "null",
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason,
        "ResourceType": event.type,
        "StackName": run.stack.name,
        "ClientRequestToken": event.token or "null",
    }
    return "".join(f"{name}='{value}'\n" for name, value in fields.items())
