"""Receipt handles: opaque to clients, they name a message and which of its receives it was."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import NamedTuple

from skyfold.services.sqs.errors import ReceiptHandleIsInvalid


class Receipt(NamedTuple):
    """One receive of one message."""

    queue_id: str
    position: int
    message_id: str
    receives: int
    """How often the message had been received, this time included."""


def handle(queue_id: str, position: int, message_id: str, receives: int) -> str:
    return b64encode(f"{queue_id}/{position}/{message_id}/{receives}".encode()).decode()


def receipt(text: str, queue_id: str) -> Receipt:
    """What a handle of the queue names. Raises ReceiptHandleIsInvalid for anything else."""
    try:
        owner, position, message_id, receives = b64decode(text, validate=True).decode().split("/")
        found = Receipt(owner, int(position), message_id, int(receives))
    except (binascii.Error, ValueError) as broken:
        raise ReceiptHandleIsInvalid(
            f'The input receipt handle "{text}" is not a valid receipt handle.'
        ) from broken
    if owner != queue_id or not 0 <= found.position < 1 << 63:
        raise ReceiptHandleIsInvalid
    return found
