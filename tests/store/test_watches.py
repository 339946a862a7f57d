"""Who watches a prefix hears of keys under it, and of ranges that may touch it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skyfold.store.watches import Watches

KEY = st.text(alphabet="abc", max_size=3).map(str.encode)


def heard_by(prefixes: set[bytes]) -> tuple[Watches, list[bytes]]:
    watches, heard = Watches(), list[bytes]()
    for prefix in prefixes:
        watches.listen(prefix, lambda prefix=prefix: heard.append(prefix))  # type: ignore[misc]  # mypy cannot infer it
    return watches, heard


@given(prefixes=st.sets(KEY), keys=st.lists(KEY))
def test_each_prefix_of_a_key_is_told_once(prefixes: set[bytes], keys: list[bytes]) -> None:
    watches, heard = heard_by(prefixes)

    watches.notice(keys)

    expected = [prefix for prefix in prefixes if any(key.startswith(prefix) for key in keys)]
    assert sorted(heard) == sorted(expected)


@given(prefixes=st.sets(KEY), start=KEY, stop=KEY, key=KEY)
def test_a_range_tells_every_prefix_of_every_key_in_it(
    prefixes: set[bytes], start: bytes, stop: bytes, key: bytes
) -> None:
    watches, heard = heard_by(prefixes)

    watches.notice_range(start, stop)

    if start <= key < stop:
        assert {prefix for prefix in prefixes if key.startswith(prefix)} <= set(heard)
    assert all(prefix < stop and prefix + b"\xff" > start for prefix in heard)


def test_who_stops_listening_hears_nothing_more() -> None:
    watches, heard = Watches(), list[str]()
    hear = lambda: heard.append("x")  # noqa: E731 - the same object must be unlistened
    watches.listen(b"a", hear)

    watches.unlisten(b"a", hear)
    watches.notice([b"a"])
    watches.notice_all()

    assert not heard
    assert not watches


def test_when_nobody_knows_what_changed_everyone_is_told() -> None:
    watches, heard = heard_by({b"a", b"bb", b""})

    watches.notice_all()

    assert sorted(heard) == [b"", b"a", b"bb"]
