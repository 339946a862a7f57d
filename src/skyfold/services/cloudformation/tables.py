"""What CloudFormation keeps.

A *stack* is found by its id, and by its name while it is not deleted. What it should be is a
*definition*: template, parameters, tags. Definitions never change; the stack, the operation under
way and the change sets name the one they mean. *Resources* are what stands, with the properties
they were last given. While an operation runs there is one *operation* row and a *step* for each
thing it has to do; a job runs each step, so a crash loses at most the attempt at one step.
*Events* are the history. *Exports* and *imports* tie stacks together. *Signals* are what functions
answered to a custom resource, or hosts to a wait condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skyfold.store.tables import Index, Table


class Row(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How every row here is kept."""


class Parameter(Row, frozen=True, kw_only=True):
    """A parameter's value as a definition uses it."""

    key: str
    value: str
    """As given, or the default."""
    type: str
    resolved: str | None = None
    """What a Systems Manager parameter type stands for."""
    no_echo: bool = False


class Output(Row, frozen=True, kw_only=True):
    key: str
    value: str
    description: str | None = None
    export: str | None = None


class Definition(Row, frozen=True, kw_only=True):
    """What a stack should be."""

    stack_id: str
    id: str
    original: str
    """The template as it was sent."""
    processed: str
    """The same after its transforms, as JSON."""
    parameters: tuple[Parameter, ...] = ()
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    capabilities: tuple[str, ...] | None = None
    notification_arns: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()


class Stack(Row, frozen=True, kw_only=True):
    account: str
    region: str
    id: str
    name: str
    status: str
    created_at: int
    definition: str = ""
    """The definition that it has, or that it is being brought to; empty before the first."""
    status_reason: str = ""
    updated_at: int = 0
    deleted_at: int = 0
    change_set: str = ""
    """The ARN of the change set executed last."""
    outputs: tuple[Output, ...] = ()
    disable_rollback: bool = False
    termination_protection: bool = False
    timeout_minutes: int = 0
    role_arn: str = ""
    parent: str = ""
    root: str = ""
    policy: str | None = None
    retain_except_on_create: bool = False
    deletion_mode: str = ""
    events: int = 0
    """How many events it has had."""
    last_event_at: int = 0
    last_token: str = ""
    last_action: str = ""
    """With ``last_token``: the request that must not be taken twice."""
    description: str = ""
    notification_arns: tuple[str, ...] = ()
    output_imports: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    """The exports of other stacks that it holds on to."""

    @property
    def arn(self) -> str:
        return f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{self.name}/{self.id}"


class StackName(Row, frozen=True, kw_only=True):
    account: str
    region: str
    name: str
    id: str


class Resource(Row, frozen=True, kw_only=True):
    """One resource of a stack as it stands."""

    stack_id: str
    logical_id: str
    type: str
    status: str
    at: int
    physical_id: str = ""
    reason: str = ""
    properties: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """As evaluated, dynamic references still in them; empty before the first success."""
    attributes: Mapping[str, Any] = msgspec.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """The resources that it was built upon, so that it goes before them."""
    retain: bool = False
    """DeletionPolicy: Retain."""
    retain_replaced: bool = False
    """UpdateReplacePolicy: Retain."""
    metadata: str = ""
    description: str = ""
    stands: bool = False
    """Whether it was ever completed: what Ref and GetAtt may speak of."""
    inert: bool = False
    retain_except_on_create: bool = False
    imports: tuple[str, ...] = ()
    """The exports of other stacks that its properties were made from."""


class Operation(Row, frozen=True, kw_only=True):
    """What a stack is going through."""

    stack_id: str
    account: str
    region: str
    id: str
    kind: str
    """create, update, delete, rollback (of a failed create), update-rollback."""
    phase: str
    """forward, outputs, cleanup, rollback, rollback-cleanup, delete."""
    principal: bytes
    started_at: int
    target: str = ""
    """The definition that it goes to."""
    previous: str = ""
    """The definition that it comes from."""
    role_arn: str = ""
    token: str = ""
    on_failure: str = "ROLLBACK"
    failing: str = ""
    """Why it cannot go on; no further step starts."""
    failed: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()
    """Resources that a delete leaves, or that a rollback skips."""
    policy_during_update: str | None = None
    delete_wanted: bool = False
    """A delete was asked for while this ran."""
    previous_status: str = ""
    """The stack's status before: what it goes back to where a delete is called off."""
    tags_changed: bool = False
    import_existing: bool = False
    """What exists already was to be taken over rather than made."""


class Step(Row, frozen=True, kw_only=True):
    """One thing that an operation has to do, and how far that is."""

    stack_id: str
    name: str
    """The logical id; for cleanups ``~`` and a number."""
    action: str
    """apply (create, update or replace, or nothing), revert, delete."""
    logical_id: str
    status: str = "waiting"
    """waiting, running, stalled (InProgress), done, failed, skipped."""
    needs: tuple[str, ...] = ()
    token: str = ""
    mode: str = ""
    """What apply turned out to be: create, update, replace."""
    before: Resource | None = None
    """The resource before this operation touched it; None where there was none."""
    state: Mapping[str, Any] = msgspec.field(default_factory=dict)
    what: Resource | None = None
    """For deletes: what is to be deleted."""
    leftovers: tuple[Resource, ...] = ()
    """What earlier, failed updates left behind: to be deleted however this one ends."""
    started_at: int = 0


class Event(Row, frozen=True, kw_only=True):
    stack_id: str
    seq: int
    id: str
    at: int
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str = ""
    properties: str | None = None
    token: str = ""
    operation: str = ""


class ChangeSet(Row, frozen=True, kw_only=True):
    account: str
    region: str
    stack_id: str
    name: str
    id: str
    kind: str
    """CREATE or UPDATE."""
    created_at: int
    definition: str
    status: str
    reason: str = ""
    execution: str = "UNAVAILABLE"
    description: str = ""
    role_arn: str = ""
    on_failure: str = ""
    changes: str = "[]"
    """As DescribeChangeSet shows them with property values, as JSON."""
    token: str = ""
    import_existing: bool = False
    warning: str = ""
    """The reason shown where property values are asked for and could not all be known."""

    @property
    def arn(self) -> str:
        return (
            f"arn:aws:cloudformation:{self.region}:{self.account}:changeSet/{self.name}/{self.id}"
        )


class ChangeSetId(Row, frozen=True, kw_only=True):
    id: str
    stack_id: str
    name: str


class Export(Row, frozen=True, kw_only=True):
    account: str
    region: str
    name: str
    value: str
    stack_id: str


class Signal(Row, frozen=True, kw_only=True):
    """An answer to a custom resource, or a signal to a wait condition."""

    handle: str
    """The token in the URL that was given out."""
    unique_id: str
    at: int
    body: Mapping[str, Any]


class Handle(Row, frozen=True, kw_only=True):
    """A URL that was given out: which steps to wake when something is put to it."""

    handle: str
    kind: str
    """custom or wait."""
    account: str
    region: str
    stack_id: str
    at: int


STACKS = Table("cloudformation.stacks", Stack, key=("account", "region", "id"))
STACK_NAMES = Table("cloudformation.names", StackName, key=("account", "region", "name"))
STACKS_BY_TIME = Index("cloudformation.by_time", "account", "region", "created_at", "id")
DEFINITIONS = Table("cloudformation.definitions", Definition, key=("stack_id", "id"))
RESOURCES = Table("cloudformation.resources", Resource, key=("stack_id", "logical_id"))
BY_PHYSICAL_ID = Index(
    "cloudformation.physical", "account", "region", "physical_id", "stack_id", "logical_id"
)
OPERATIONS = Table("cloudformation.operations", Operation, key=("stack_id",))
STEPS = Table("cloudformation.steps", Step, key=("stack_id", "name"))
EVENTS = Table("cloudformation.events", Event, key=("stack_id", "seq"))
CHANGE_SETS = Table("cloudformation.change_sets", ChangeSet, key=("stack_id", "name"))
CHANGE_SET_IDS = Table("cloudformation.change_set_ids", ChangeSetId, key=("id",))
EXPORTS = Table("cloudformation.exports", Export, key=("account", "region", "name"))
IMPORTS = Index("cloudformation.imports", "account", "region", "export", "stack_id")
SIGNALS = Table("cloudformation.signals", Signal, key=("handle", "unique_id"))
HANDLES = Table("cloudformation.handles", Handle, key=("handle",))
