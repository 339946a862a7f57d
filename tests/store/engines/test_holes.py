"""A hole never hides a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skyfold.store.engines.holes import Holes

KEY = st.integers(0, 30)
STEP = st.one_of(st.tuples(st.just("put"), KEY), st.tuples(st.just("scan"), KEY, KEY))


def name(number: int) -> bytes:
    return b"%02d" % number


@given(steps=st.lists(STEP, max_size=40))
def test_skipping_never_passes_a_key(steps: list[tuple[str, ...]]) -> None:
    holes, keys = Holes(), set[bytes]()
    for what, *numbers in steps:
        names = [name(int(number)) for number in numbers]
        if what == "put":
            keys.add(names[0])
            holes.fill(names[0])
            continue
        start, stop = names
        begin = holes.skip(start)
        assert not [key for key in keys if start <= key < begin]
        found = min([key for key in keys if start <= key < stop], default=stop)
        holes.add(start, found)
        if start < found:
            assert holes.skip(start) >= found  # the next scan need not look here


def test_a_queue_whose_head_moves_on_is_one_hole() -> None:
    holes = Holes()
    for head in range(1, 1000):
        holes.add(b"q", b"q%06d" % head)

    assert holes.skip(b"q") == b"q000999"
    assert len(holes._starts) == 1


def test_many_holes_are_forgotten_rather_than_kept_for_ever() -> None:
    holes = Holes()
    for number in range(10_000):
        holes.add(b"%05d" % number, b"%05d+" % number)

    assert len(holes._starts) <= 256
