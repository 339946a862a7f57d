"""Pages of lists: Marker, MaxItems and IsTruncated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from skyfold.kernel.pages import BadToken, position, token
from skyfold.kernel.service import Request
from skyfold.services.iam.errors import ValidationError
from skyfold.services.iam.limits import PAGE_DEFAULT

R = TypeVar("R")
Scan = Callable[[tuple[Any, ...] | None, int], Awaitable[Sequence[R]]]
"""(the position to begin after, how many) to the next items in order."""


async def page(
    request: Request,
    purpose: str,
    scan: Scan[R],
    place: Callable[[R], tuple[Any, ...]],
    keep: Callable[[R], bool] = lambda _: True,
) -> tuple[list[R], dict[str, Any]]:
    """One page of what ``keep`` wants, and the members of the reply that lead to the next one."""
    size = int(request.get("MaxItems", PAGE_DEFAULT))
    after = started(request, purpose)
    found: list[R] = []
    while True:
        batch = await scan(after, size + 1)
        found += [item for item in batch if keep(item)]
        if len(found) > size:
            last = place(found[size - 1])
            return found[:size], {"IsTruncated": True, "Marker": token(purpose, *last)}
        if len(batch) <= size:
            return found, {"IsTruncated": False}
        after = place(batch[-1])


def page_of(request: Request, purpose: str, items: Sequence[R]) -> tuple[list[R], dict[str, Any]]:
    """The same for a list that is at hand whole; its positions are numbers."""
    size = int(request.get("MaxItems", PAGE_DEFAULT))
    start = (started(request, purpose) or (0,))[0]
    shown = list(items[start : start + size])
    if start + size < len(items):
        return shown, {"IsTruncated": True, "Marker": token(purpose, start + size)}
    return shown, {"IsTruncated": False}


def started(request: Request, purpose: str) -> tuple[Any, ...] | None:
    """The position that the request's marker stands for."""
    marker = request.get("Marker")
    if marker is None:
        return None
    try:
        return position(purpose, marker)
    except BadToken:
        raise ValidationError(f"Invalid Marker. {marker}") from None


def under(prefix: str) -> Callable[[Any], bool]:
    """Whether an entity's path begins with ``prefix``."""
    return lambda row: row.path.startswith(prefix)
