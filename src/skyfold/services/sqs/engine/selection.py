"""What a receiver wants to know of each message besides its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from skyfold.services.sqs.engine.queue_attributes import KNOWN as QUEUE_ATTRIBUTES
from skyfold.services.sqs.engine.queue_attributes import unknown
from skyfold.services.sqs.tables import Flight, Message

_SYSTEM: Final[Mapping[str, Callable[[Message, Flight], str]]] = {
    "SenderId": lambda message, _: message.sender_id,
    "SentTimestamp": lambda message, _: str(message.sent_at),
    "ApproximateReceiveCount": lambda _, flight: str(flight.receives),
    "ApproximateFirstReceiveTimestamp": lambda _, flight: str(flight.first_received_at),
    "SequenceNumber": lambda message, _: (
        f"{message.position:020d}" if message.deduplication_id else ""  # as FIFO messages have
    ),
    "MessageDeduplicationId": lambda message, _: message.deduplication_id,
    "MessageGroupId": lambda message, _: message.group,
    "AWSTraceHeader": lambda message, _: message.trace_header,
    "DeadLetterQueueSourceArn": lambda message, _: message.source_arn,
}


class Selection(NamedTuple):
    """What one receive request asks for."""

    system: frozenset[str]
    """Names of system attributes."""
    names: tuple[str, ...]
    """Of message attributes: names, ``prefix.*``, ``All``."""

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Selection:
        asked = (
            *request.get("AttributeNames", ()),
            *request.get("MessageSystemAttributeNames", ()),
        )
        for name in asked:
            if name not in _SYSTEM and name not in QUEUE_ATTRIBUTES:
                raise unknown(name)
        system = frozenset(_SYSTEM) if "All" in asked else frozenset(asked) & _SYSTEM.keys()
        return cls(system, tuple(request.get("MessageAttributeNames", ())))

    def system_attributes(self, message: Message, flight: Flight) -> dict[str, str]:
        shown = ((name, _SYSTEM[name](message, flight)) for name in _SYSTEM if name in self.system)
        return {name: text for name, text in shown if text}
