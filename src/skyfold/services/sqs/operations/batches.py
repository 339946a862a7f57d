"""Batches: what their entries have to be, and how each succeeds or fails by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.service import reply
from skyfold.services.sqs import limits
from skyfold.services.sqs.errors import (
    BatchEntryIdsNotDistinct,
    EmptyBatchRequest,
    InvalidBatchEntryId,
    TooManyEntriesInBatchRequest,
)

Entry = Mapping[str, Any]


def check_entries(entries: Sequence[Entry], noun: str) -> None:
    """Raise what SQS would for a batch as such. ``noun``: ``SendMessageBatchRequestEntry``."""
    if not entries:
        raise EmptyBatchRequest(f"There should be at least one {noun} in the request.")
    if len(entries) > limits.BATCH_ENTRIES_MAX:
        raise TooManyEntriesInBatchRequest(
            f"Maximum number of entries per request are {limits.BATCH_ENTRIES_MAX}. "
            f"You have sent {len(entries)}."
        )
    seen: set[str] = set()
    for entry in entries:
        name = entry["Id"]
        if not limits.BATCH_ENTRY_ID.fullmatch(name):
            raise InvalidBatchEntryId
        if name in seen:
            raise BatchEntryIdsNotDistinct(f"Id {name} repeated.")
        seen.add(name)


async def each(entries: Sequence[Entry], run: Callable[[Entry], Awaitable[Any]]) -> Any:
    """Run every entry, and answer what became of each."""
    done: list[Any] = []
    failed: list[Any] = []
    for entry in entries:
        try:
            done.append({"Id": entry["Id"], **(await run(entry) or {})})
        except AwsError as error:
            failed.append(
                {"Id": entry["Id"], "SenderFault": True, "Code": error.code, "Message": error.text}
            )
    return reply(Successful=done or None, Failed=failed or None)
