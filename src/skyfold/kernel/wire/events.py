"""Event streams as shapes describe them: dictionaries to frames and back."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.wire import eventstream
from skyfold.kernel.wire.bodies import Bodies
from skyfold.kernel.wire.constraints import SerializationException
from skyfold.kernel.wire.eventstream import Frame, HeaderValue
from skyfold.kernel.wire.json_codec import body_members
from skyfold.kernel.wire.shapes import Shape

Event = Mapping[str, Any]
"""``{"Records": {"Payload": b"..."}}``: one member of the stream's union."""


class EventWriter:
    """Compiled once per stream: events to frames."""

    def __init__(self, stream: Shape, bodies: Bodies) -> None:
        self._content_type = bodies.content_type
        self._writers = {
            name: self._compile(name, shape, bodies) for name, shape in stream.members.items()
        }

    def _compile(
        self, name: str, shape: Shape, bodies: Bodies
    ) -> Callable[[Mapping[str, Any]], bytes]:
        kind = ":exception-type" if shape.traits.get("exception") else ":event-type"
        message = "exception" if shape.traits.get("exception") else "event"
        fixed: dict[str, HeaderValue] = {":message-type": message, kind: name}
        headers = {n: m for n, m in shape.members.items() if m.traits.get("eventheader")}
        payloads = [n for n, m in shape.members.items() if m.traits.get("eventpayload")]
        payload = shape.members[payloads[0]] if payloads else None
        content_type = self._content_type
        if payload is not None and payload.type in ("blob", "string"):
            content_type = {"blob": "application/octet-stream"}.get(payload.type, "text/plain")
        write_payload = None
        if payload is not None and payload.type == "structure":
            write_payload = bodies.writer(payload, payload.name)
        write_body = bodies.writer(shape, name) if payload is None else None

        def write(event: Mapping[str, Any]) -> bytes:
            sent = dict(fixed)
            for header, member in headers.items():
                if event.get(header) is not None:
                    sent[header] = _header_value(member, event[header])
            body = b""
            if write_body is not None:
                rest = {k: v for k, v in event.items() if k not in headers}
                body = write_body(rest) if rest else b""
            elif event.get(payloads[0]) is not None:
                value = event[payloads[0]]
                if write_payload is not None:
                    body = write_payload(value)
                else:
                    body = value.encode() if isinstance(value, str) else bytes(value)
            if body:
                sent[":content-type"] = content_type
            return eventstream.encode(sent, body)

        return write

    def frame(self, event: Event) -> bytes:
        ((name, members),) = event.items()
        return self._writers[name](members)

    def failure(self, error: AwsError) -> bytes:
        """The last frame of a stream that fails on its way."""
        write = self._writers.get(type(error).__name__) or self._writers.get(error.code)
        if write is not None:
            return write({"message": error.text, **error.members})
        return eventstream.encode(
            {":message-type": "error", ":error-code": error.code, ":error-message": error.text}
        )

    async def frames(
        self, events: AsyncIterable[Event], first: bytes | None = None
    ) -> AsyncIterator[bytes]:
        """The whole stream; an AwsError on the way becomes its last frame."""
        if first is not None:
            yield eventstream.encode(
                {
                    ":message-type": "event",
                    ":event-type": "initial-response",
                    ":content-type": self._content_type,
                },
                first,
            )
        try:
            async for event in events:
                yield self.frame(event)
        except AwsError as error:
            yield self.failure(error)


def _header_value(shape: Shape, value: Any) -> HeaderValue:
    if shape.type == "timestamp":
        return eventstream.Timestamp(value)
    if shape.type == "blob":
        return bytes(value)
    found: HeaderValue = value
    return found


class EventReader:
    """Compiled once per stream: frames to events."""

    def __init__(self, stream: Shape, bodies: Bodies) -> None:
        self._stream = stream
        self._bodies = bodies
        self._readers = {
            name: bodies.reader(shape)
            for name, shape in stream.members.items()
            if body_members(shape) and not any(
                member.traits.get("eventpayload") for member in shape.members.values()
            )
        }  # fmt: skip

    async def events(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
        """Events as they come; an empty frame, the client's signed end, ends the stream."""
        try:
            async for frame in eventstream.frames(chunks):
                unsigned = _unsigned(frame)
                if unsigned is None:
                    return
                name = str(unsigned.headers.get(":event-type", ""))
                if name in self._stream.members:
                    yield {name: self.event(name, unsigned)}
        except eventstream.BadFrame as error:
            raise SerializationException(f"Invalid event stream: {error}") from error

    def event(self, name: str, frame: Frame) -> dict[str, Any]:
        shape = self._stream.members[name]
        out: dict[str, Any] = {}
        for member_name, member in shape.members.items():
            if member.traits.get("eventheader"):
                if member_name in frame.headers:
                    out[member_name] = frame.headers[member_name]
            elif member.traits.get("eventpayload"):
                if member.type == "blob":
                    out[member_name] = frame.payload
                elif member.type == "string":
                    out[member_name] = frame.payload.decode("utf-8", "replace")
                else:
                    out[member_name] = self._bodies.reader(member)(frame.payload)
        read = self._readers.get(name)
        if read is not None and frame.payload:
            out.update(read(frame.payload))
        return out


def _unsigned(frame: Frame) -> Frame | None:
    """Clients sign events by wrapping each in a frame that has only date and signature."""
    if ":chunk-signature" not in frame.headers:
        return frame
    if not frame.payload:
        return None
    inner = list(eventstream.Decoder().feed(frame.payload))
    if len(inner) != 1:
        raise eventstream.BadFrame("a signed frame does not hold one event")
    return inner[0]
