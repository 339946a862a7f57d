"""A stream of output, cut into log events."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from skyfold.compute.logs import Record, Splitter

FRAME_KINDS = st.sampled_from([0x02, 0x03, 0x0B, 0x0E, 0x17])
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r")).map(
    str.encode
)


def framed(kind: int, message: bytes) -> bytes:
    head = bytes([0xA5, 0x5A, 0x00, kind])
    return head + len(message).to_bytes(4, "big") + (1).to_bytes(8, "big") + message


def feed(data: bytes, cuts: list[int]) -> list[bytes]:
    splitter = Splitter()
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    events: list[bytes] = []
    for start, end in pairwise(places):
        events += splitter.feed(data[start:end])
    return events + splitter.finish()


@given(
    parts=st.lists(
        st.one_of(
            st.tuples(FRAME_KINDS, TEXT),
            st.tuples(st.none(), TEXT.map(lambda text: text.replace(b"\n", b""))),
        )
    ),
    cuts=st.lists(st.integers(0, 10_000)),
)
def test_events_are_the_same_wherever_the_stream_is_cut(
    parts: list[tuple[int | None, bytes]], cuts: list[int]
) -> None:
    data = b"".join(text + b"\n" if kind is None else framed(kind, text) for kind, text in parts)
    expected = [text if kind is None else text.removesuffix(b"\n") for kind, text in parts]

    assert feed(data, cuts) == expected


@given(data=st.binary(), cuts=st.lists(st.integers(0, 10_000)))
def test_no_output_can_break_it(data: bytes, cuts: list[int]) -> None:
    for event in feed(data, cuts):
        assert isinstance(event, bytes)


def test_lines_end_at_newlines_and_the_last_one_at_the_end() -> None:
    assert feed(b"one\n\ntwo\nthree", []) == [b"one", b"", b"two", b"three"]


def test_a_carriage_return_breaks_a_line_within_one_event() -> None:
    assert feed(b"[ERROR] x\rTraceback\r  line\n", []) == [b"[ERROR] x\nTraceback\n  line"]


def test_a_framed_event_keeps_its_lines() -> None:
    assert feed(b"before\n" + framed(3, b"a\nb\n") + b"after\n", [3, 9, 20]) == [
        b"before",
        b"a\nb",
        b"after",
    ]


def test_a_line_without_end_is_cut() -> None:
    events = feed(b"x" * 1_000_000, list(range(0, 1_000_000, 65_536)))

    assert b"".join(events) == b"x" * 1_000_000
    assert max(map(len, events)) <= 256 * 1024


def test_a_frame_that_lies_about_its_length_is_let_go() -> None:
    data = bytes([0xA5, 0x5A, 0x00, 3]) + b"\xff" * 12 + b"text"

    assert feed(data, []) == [b"text"]


def test_a_record_keeps_the_newest_of_too_much() -> None:
    record = Record(None)
    for number in range(100):
        record.add(b"%03d" % number + b"x" * 200_000)

    assert record.text.endswith(b"x\n")
    assert len(record.text) <= 8 * 1024**2
    assert b"099x" in record.text
    assert b"000x" not in record.text
