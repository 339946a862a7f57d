"""Keys sort as their tuples do."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from skyfold.store.keys import Part, after, pack, unpack

INTEGER = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(alphabet=st.characters(), max_size=5) | st.text(
    alphabet="\x00\x01ab\xff", max_size=4
)
RAW = st.binary(max_size=5) | st.text(alphabet="\x00\xff", max_size=4).map(str.encode)
PART = st.one_of(TEXT, INTEGER, RAW)
KINDS = st.lists(st.sampled_from([TEXT, INTEGER, RAW]), min_size=1, max_size=3)
SAME_KINDS = KINDS.flatmap(lambda kinds: st.tuples(st.tuples(*kinds), st.tuples(*kinds)))


@given(parts=st.lists(PART, max_size=5))
def test_a_key_gives_its_tuple_back(parts: list[Part]) -> None:
    assert unpack(pack(*parts)) == tuple(parts)


def rank(parts: tuple[Part, ...]) -> tuple[int | bytes, ...]:
    """Text in the order of its code points, which is that of its UTF-8."""
    return tuple(p.encode("utf-8", "surrogatepass") if isinstance(p, str) else p for p in parts)


@given(pair=SAME_KINDS)
@example(pair=(("a", 1), ("a\x00", 0)))
@example(pair=((-1,), (0,)))
def test_keys_sort_as_their_tuples(pair: tuple[tuple[Part, ...], tuple[Part, ...]]) -> None:
    one, two = pair

    assert (pack(*one) < pack(*two)) == (rank(one) < rank(two))  # type: ignore[operator]  # the same kinds


@given(prefix=st.lists(PART, max_size=3), rest=st.lists(PART, max_size=2), other=st.lists(PART))
def test_a_range_holds_what_begins_with_its_prefix_and_nothing_else(
    prefix: list[Part], rest: list[Part], other: list[Part]
) -> None:
    start = pack(*prefix)

    assert start <= pack(*prefix, *rest) < after(start)
    if other[: len(prefix)] != prefix:
        assert not start <= pack(*other) < after(start)
