"""What a CloudFormation resource type must offer; services/cloudformation drives it.

Which properties exist, are required, read-only or force replacement comes from the published
resource schemas; a service writes only the behaviour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Properties = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Provision:
    """One create, update or delete: what is wanted, what was there, and the API to act through.

    ``api`` makes ordinary calls as the stack's role, so IAM, events and metering happen just as
    they would for a person: ``await provision.api("sqs").create_queue(QueueName=...)``.
    """

    want: Properties
    had: Properties
    """The properties of the last successful create or update; empty on create."""
    physical_id: str
    """Empty on create."""
    api: Callable[[str], Any]
    account: str
    region: str
    stack_name: str
    stack_id: str
    logical_id: str
    token: str
    """The same for every attempt at this one operation: for client tokens and names."""
    now: int = 0

    def default_name(self, *, limit: int = 255, suffix: str = "", lower: bool = False) -> str:
        """``stack-LogicalId-TOKEN``, cut to ``limit`` and the same again on every attempt."""
        tail = "-" + self.token[:12].upper() + suffix
        room = limit - len(tail)
        stack, logical = self.stack_name, self.logical_id
        if len(stack) + 1 + len(logical) > room:
            logical = logical[: max(1, room // 2)]
            stack = stack[: room - 1 - len(logical)]
        name = f"{stack}-{logical}{tail}"
        return name.lower() if lower else name


@dataclass(frozen=True, kw_only=True)
class Provisioned:
    """What now stands."""

    physical_id: str
    """What ``Ref`` gives."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What ``Fn::GetAtt`` may ask for."""


@dataclass(frozen=True)
class InProgress:
    """Not there yet: call ``create``/``update``/``delete`` again after ``retry_ms``.

    ``state`` comes back in ``Provision.had`` under the key ``"$state"``.
    """

    retry_ms: int
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """The behaviour of one resource type.

    ``create`` must be safe to run again after a crash (``token``, deterministic names); ``delete``
    of what is already gone succeeds. An AwsError fails the resource with its text as the reason.
    """

    name: str
    create: Callable[[Provision], Awaitable[Provisioned | InProgress]]
    update: Callable[[Provision], Awaitable[Provisioned | InProgress]]
    delete: Callable[[Provision], Awaitable[InProgress | None]]
    replaced_when_changed: frozenset[str] | None = None
    """Top-level properties that force replacement; None: as the published schema says."""
