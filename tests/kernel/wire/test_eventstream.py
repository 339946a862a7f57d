"""Event-stream frames and streams, with botocore's as the other side."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.eventstream import EventStream, EventStreamBuffer
from botocore.parsers import EventStreamJSONParser, EventStreamXMLParser
from hypothesis import given
from hypothesis import strategies as st

from skyfold.base.errors import AwsError
from skyfold.kernel.wire import eventstream
from skyfold.kernel.wire.bodies import JsonBodies
from skyfold.kernel.wire.constraints import Checks, SerializationException
from skyfold.kernel.wire.events import EventReader, EventWriter
from skyfold.kernel.wire.models import ServiceWire
from tests.kernel.wire import clients

names = st.text(alphabet="abc:-", min_size=1, max_size=20)
values = st.one_of(
    st.text(max_size=50), st.binary(max_size=50), st.booleans(), st.uuids(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**50).map(eventstream.Timestamp),
)  # fmt: skip
frames = st.tuples(st.dictionaries(names, values, max_size=6), st.binary(max_size=300))


@given(frames=st.lists(frames, max_size=4), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_frames_survive_being_cut_anywhere(frames: list[Any], cuts: list[int]) -> None:
    raw = b"".join(eventstream.encode(headers, payload) for headers, payload in frames)
    decoder, got, at = eventstream.Decoder(), [], 0
    for number in range(len(raw) + 1):
        step = cuts[number % len(cuts)]
        got += list(decoder.feed(raw[at : at + step]))
        at += step
    decoder.finish()

    assert [(frame.headers, frame.payload) for frame in got] == frames


@given(frame=frames)
def test_botocore_reads_our_frames(frame: tuple[dict[str, Any], bytes]) -> None:
    headers, payload = frame
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.encode(headers, payload))

    (message,) = list(buffer)

    assert message.payload == payload
    assert set(message.headers) == set(headers)


@pytest.mark.parametrize("at", [0, 5, 9, 14, -2])
def test_a_damaged_frame_is_refused(at: int) -> None:
    raw = bytearray(eventstream.encode({":event-type": "Records"}, b"payload"))
    raw[at] ^= 0xFF

    with pytest.raises(eventstream.BadFrame):
        list(eventstream.Decoder().feed(bytes(raw)))
        raise eventstream.BadFrame("the length says that more is to come")


@given(raw=st.binary(min_size=12, max_size=200))
def test_arbitrary_bytes_never_break_the_decoder(raw: bytes) -> None:
    decoder = eventstream.Decoder()
    try:
        list(decoder.feed(raw))
        decoder.finish()
    except eventstream.BadFrame:
        return
    raise AssertionError("arbitrary bytes passed for a frame")


async def collected(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


class Body(io.BytesIO):
    """What botocore reads a stream from."""

    def stream(self) -> Any:
        yield self.read()


async def test_a_rest_xml_stream_reaches_the_client() -> None:
    wire = ServiceWire("s3")
    operation = wire.operation("SelectObjectContent")

    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"Records": {"Payload": b"a,b\n"}}
        yield {"Stats": {"Details": {"BytesScanned": 4, "BytesReturned": 4}}}
        yield {"End": {}}

    reply = operation.reply("rest-xml", {"Payload": events()}, "r")
    assert not isinstance(reply.body, bytes)
    raw = await collected(reply.body)

    shape = clients.service_model("s3").operation_model("SelectObjectContent").output_shape
    got = list(EventStream(Body(raw), shape.members["Payload"], EventStreamXMLParser(), "x"))
    assert got == [
        {"Records": {"Payload": b"a,b\n"}},
        {"Stats": {"Details": {"BytesScanned": 4, "BytesReturned": 4}}},
        {"End": {}},
    ]
    assert ("Content-Type", "application/vnd.amazon.eventstream") in reply.headers


async def test_a_json_stream_begins_with_the_initial_response_and_may_end_in_an_error() -> None:
    wire = ServiceWire("kinesis")
    operation = wire.operation("SubscribeToShard")

    class ResourceNotFoundException(AwsError):
        pass

    record = {"Data": b"\x00\x01", "PartitionKey": "p", "SequenceNumber": "1"}

    async def events() -> AsyncIterator[dict[str, Any]]:
        event = {"Records": [record], "ContinuationSequenceNumber": "2", "MillisBehindLatest": 0}
        yield {"SubscribeToShardEvent": event}
        raise ResourceNotFoundException("gone")

    reply = operation.reply("json", {"EventStream": events()}, "r")
    assert not isinstance(reply.body, bytes)
    raw = await collected(reply.body)

    shape = clients.service_model("kinesis").operation_model("SubscribeToShard").output_shape
    stream = EventStream(Body(raw), shape.members["EventStream"], EventStreamJSONParser(), "x")
    stream.get_initial_response()
    got = iter(stream)
    assert next(got)["SubscribeToShardEvent"]["Records"] == [record]
    with pytest.raises(Exception, match=r"ResourceNotFoundException.*gone"):
        next(got)


async def test_events_of_a_request_are_read_signed_or_not() -> None:
    wire = ServiceWire("lambda")
    stream = wire.operation("InvokeWithResponseStream").output
    assert stream is not None
    shape = stream.members["EventStream"]
    bodies = JsonBodies(Checks(), "application/json")
    writer = EventWriter(shape, bodies)
    plain = writer.frame({"PayloadChunk": {"Payload": b"abc"}})
    signed = eventstream.encode(
        {":date": eventstream.Timestamp(1), ":chunk-signature": b"s"}, plain
    )
    end = eventstream.encode({":date": eventstream.Timestamp(2), ":chunk-signature": b"t"}, b"")

    async def chunks() -> AsyncIterator[bytes]:
        yield plain + signed[:10]
        yield signed[10:] + end

    got = [event async for event in EventReader(shape, bodies).events(chunks())]

    assert got == [{"PayloadChunk": {"Payload": b"abc"}}] * 2


async def test_a_request_stream_that_is_cut_short_is_refused() -> None:
    stream = ServiceWire("lambda").operation("InvokeWithResponseStream").output
    assert stream is not None
    reader = EventReader(stream.members["EventStream"], JsonBodies(Checks(), "application/json"))

    async def chunks() -> AsyncIterator[bytes]:
        yield eventstream.encode({":event-type": "PayloadChunk"}, b"abc")[:-1]

    with pytest.raises(SerializationException):
        [event async for event in reader.events(chunks())]
