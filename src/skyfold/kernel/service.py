"""The words a service is declared in: one ``SERVICE = Service(...)`` in each services/<name>."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyfold.kernel.call import Call
    from skyfold.kernel.delivery import Accepts
    from skyfold.kernel.http import HttpReply, HttpRequest
    from skyfold.kernel.jobs import Job
    from skyfold.kernel.platform import Platform
    from skyfold.kernel.provisioning import ResourceType
    from skyfold.store.api import ReadTx

Request = Mapping[str, Any]
"""A request as the wire parsed and checked it. Timestamps are ms since the epoch, blobs bytes."""


class Mode(Enum):
    READ = "a read-only transaction: fn(tx, call, request)"
    WRITE = "a read-write transaction, run again on conflict: fn(tx, call, request)"
    LIVE = "waits or streams, and opens its own transactions: fn(call, request)"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that IAM has to allow: an action on a resource, with condition keys."""

    action: str
    """With its prefix: ``iam:PassRole``."""
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)
    """Values are str, int, bool, or lists of str: ``{"iam:PassedToService": "..."}``."""


Arn = Callable[["Call", Request], str]
"""Names the resource that a request is about, so that IAM can decide on it."""
Conditions = Callable[["Call", Request], Mapping[str, Any]]
Needs = Callable[["Call", Request], Sequence[Need]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of the API: what runs, and what IAM decides before it runs."""

    run: Callable[..., Awaitable[Any]]
    mode: Mode
    on: Arn | None
    action: str | None
    conditions: Conditions | None
    also: Needs | None
    open: bool


def read(
    run: Callable[[ReadTx, Call, Any], Awaitable[Any]],
    *,
    on: Arn | None = None,
    action: str | None = None,
    conditions: Conditions | None = None,
    also: Needs | None = None,
    open: bool = False,
) -> Operation:
    """A read-only operation.

    ``on`` names the resource (``*`` where it is None); ``action`` the IAM action (without prefix)
    where it is not the operation's name; ``conditions`` the service's own condition keys;
    ``also`` what must be allowed besides, PassRole or the source of a copy; ``open`` operations
    need no permission (GetCallerIdentity) or check it themselves.
    """
    return Operation(
        run=run, mode=Mode.READ, on=on, action=action, conditions=conditions, also=also, open=open
    )


def write(
    run: Callable[[Any, Call, Any], Awaitable[Any]],
    *,
    on: Arn | None = None,
    action: str | None = None,
    conditions: Conditions | None = None,
    also: Needs | None = None,
    open: bool = False,
) -> Operation:
    """An operation that changes state, in one transaction. Parameters as for ``read``."""
    return Operation(
        run=run, mode=Mode.WRITE, on=on, action=action, conditions=conditions, also=also, open=open
    )


def live(
    run: Callable[[Call, Any], Awaitable[Any]],
    *,
    on: Arn | None = None,
    action: str | None = None,
    conditions: Conditions | None = None,
    also: Needs | None = None,
    open: bool = False,
) -> Operation:
    """An operation that waits, streams or calls other services. Parameters as for ``read``."""
    return Operation(
        run=run, mode=Mode.LIVE, on=on, action=action, conditions=conditions, also=also, open=open
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """HTTP that is no API call: execute-api, function URLs, websites.

    ``matches`` sees every request before signatures are looked at, so it must be quick and sure.
    """

    matches: Callable[[HttpRequest], bool]
    serve: Callable[[Platform, HttpRequest], Awaitable[HttpReply]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, declared. Routing, IAM actions, coverage and contract tests derive from it."""

    model: str
    """The botocore service model: protocol, shapes and documented errors come from it."""
    operations: Mapping[str, Operation]
    prefix: str = ""
    """The IAM action prefix; the model's signing name where it is empty."""
    arn_name: str = ""
    """The service part of its ARNs; ``prefix`` where it is empty."""
    resource_policy: Callable[[ReadTx, str], Awaitable[str | None]] | None = None
    """The policy document attached to the resource with this ARN, as JSON text."""
    accepts: Accepts | None = None
    """What its resources do with a delivery."""
    jobs: Mapping[str, Job] = field(default_factory=dict)
    """What it runs on a timer, by kind: ``{"lambda.async": Job(...)}``."""
    loops: Sequence[Callable[[Platform], Awaitable[None]]] = ()
    """Coroutines that run for as long as the platform does (pollers)."""
    data_planes: Sequence[DataPlane] = ()
    cross_origin: Callable[[Platform, HttpRequest], Awaitable[list[tuple[str, str]]]] | None = None
    """Further headers for the answer, errors included, of a request that has an Origin."""
    resource_types: Sequence[ResourceType] = ()
    validation_error: Callable[[Any], Exception | None] | None = None
    """Turns what the model refuses into this service's own error, where it has one of its own;
    see kernel/wire/constraints.py."""


def reply(**members: object) -> Any:
    """Build a response; a member that is ``None`` is left out.

    It is ``Any`` because the result types of ``types-boto3`` describe what a client receives. The
    names are checked against the model by tests/repo.
    """
    return {name: value for name, value in members.items() if value is not None}
