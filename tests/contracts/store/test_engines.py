"""What every storage engine promises; whatever passes on one engine only is a bug."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from skyfold.store.api import Pair, ReadTx, Store, StoreUnavailable, Tx
from skyfold.store.keys import after, pack


async def put_all(tx: Tx, *pairs: Pair) -> None:
    for key, value in pairs:
        tx.put(key, value)


async def get(tx: ReadTx, key: bytes) -> bytes | None:
    return await tx.get(key)


async def scan(tx: ReadTx, start: bytes, stop: bytes, limit: int = 100, **how: Any) -> list[Pair]:
    return await tx.scan(start, stop, limit=limit, **how)


def named(count: int, prefix: bytes = b"k") -> list[Pair]:
    return [(prefix + b"%03d" % n, b"v%d" % n) for n in range(count)]


async def test_a_written_value_is_read_by_the_next_transaction(store: Store) -> None:
    await store.write(put_all, (b"k", b"v"))

    assert await store.read(get, b"k") == b"v"
    assert await store.read(get, b"other") is None


async def test_write_returns_what_the_function_returns(store: Store) -> None:
    assert await store.write(get, b"nothing") is None
    assert await store.read(scan, b"a", b"z") == []


async def test_a_transaction_sees_its_own_writes(store: Store) -> None:
    await store.write(put_all, (b"changed", b"old"), (b"deleted", b"old"))

    async def change(tx: Tx) -> list[bytes | None]:
        tx.put(b"changed", b"new")
        tx.put(b"new", b"new")
        tx.delete(b"deleted")
        return [await tx.get(key) for key in (b"changed", b"new", b"deleted")]

    assert await store.write(change) == [b"new", b"new", None]


async def test_a_scan_sees_the_transactions_own_writes_in_their_places(store: Store) -> None:
    await store.write(put_all, (b"a", b"1"), (b"c", b"3"), (b"e", b"5"), (b"g", b"7"))

    async def change(tx: Tx) -> tuple[list[Pair], list[Pair], list[Pair]]:
        tx.put(b"b", b"2")
        tx.put(b"c", b"3!")
        tx.delete(b"e")
        whole = await scan(tx, b"a", b"z")
        tx.put(b"aa", b"1.5")  # after a first scan, too
        return whole, await scan(tx, b"a", b"c"), await scan(tx, b"a", b"z", 2, reverse=True)

    whole, part, last = await store.write(change)
    assert whole == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3!"), (b"g", b"7")]
    assert part == [(b"a", b"1"), (b"aa", b"1.5"), (b"b", b"2")]
    assert last == [(b"g", b"7"), (b"c", b"3!")]


async def test_a_scan_includes_its_start_and_excludes_its_stop(store: Store) -> None:
    await store.write(put_all, *named(10))

    found = await store.read(scan, b"k002", b"k005")

    assert [key for key, _ in found] == [b"k002", b"k003", b"k004"]


async def test_a_reverse_scan_gives_the_same_pairs_from_the_end(store: Store) -> None:
    await store.write(put_all, *named(10))

    async def look(tx: ReadTx) -> list[list[Pair]]:
        return [
            await tx.scan(b"k002", b"k005", limit=9),
            await tx.scan(b"k002", b"k005", limit=9, reverse=True),
            await tx.scan(b"k0021", b"k005", limit=9, reverse=True),
            await tx.scan(b"", b"\xff", limit=2, reverse=True),
        ]

    up, down, off_key, last = await store.read(look)
    assert up == down[::-1] == named(10)[2:5]
    assert off_key == down[:2]
    assert last == named(10)[:-3:-1]


async def test_a_limit_holds_whatever_the_transaction_has_deleted(store: Store) -> None:
    await store.write(put_all, *named(20))

    async def thin(tx: Tx) -> tuple[list[Pair], list[Pair]]:
        for n in range(0, 20, 2):
            tx.delete(b"k%03d" % n)
        return await scan(tx, b"k", b"l", 3), await scan(tx, b"k", b"l", 3, reverse=True)

    up, down = await store.write(thin)
    assert [key for key, _ in up] == [b"k001", b"k003", b"k005"]
    assert [key for key, _ in down] == [b"k019", b"k017", b"k015"]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_scan_of_nothing_finds_nothing(store: Store, limit: int) -> None:
    await store.write(put_all, *named(3))

    assert await store.read(scan, b"k", b"l", limit) == []
    assert await store.read(scan, b"l", b"k") == []
    assert await store.read(scan, b"k", b"k") == []


async def test_deleting_what_is_not_there_is_nothing(store: Store) -> None:
    async def forget(tx: Tx) -> None:
        tx.delete(b"nothing")
        tx.delete_range(b"n", b"o")
        tx.delete_range(b"o", b"n")

    await store.write(forget)

    assert await store.read(scan, b"", b"\xff") == []


@pytest.mark.parametrize("count", [5, 700])
async def test_a_deleted_range_is_gone_and_its_neighbours_stay(store: Store, count: int) -> None:
    await store.write(put_all, (b"j", b""), *named(count), (b"l", b""))

    async def forget(tx: Tx) -> list[Pair]:
        tx.delete_range(b"k", b"l")
        return await scan(tx, b"", b"\xff")

    assert await store.write(forget) == [(b"j", b""), (b"l", b"")]
    assert await store.read(scan, b"", b"\xff") == [(b"j", b""), (b"l", b"")]


async def test_a_range_delete_hides_earlier_writes_and_shows_later_ones(store: Store) -> None:
    await store.write(put_all, *named(4))

    async def rewrite(tx: Tx) -> tuple[list[Pair], bytes | None, bytes | None]:
        tx.put(b"k001a", b"before")
        tx.delete_range(b"k001", b"k003")
        tx.put(b"k002", b"after")
        return await scan(tx, b"k", b"l"), await tx.get(b"k001"), await tx.get(b"k001a")

    left = [(b"k000", b"v0"), (b"k002", b"after"), (b"k003", b"v3")]
    assert await store.write(rewrite) == (left, None, None)
    assert await store.read(scan, b"k", b"l") == left


async def test_a_function_that_raises_writes_nothing(store: Store) -> None:
    await store.write(put_all, (b"kept", b"v"))

    async def fail(tx: Tx) -> None:
        tx.put(b"new", b"v")
        tx.delete_range(b"", b"\xff")
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await store.write(fail)
    assert await store.read(scan, b"", b"\xff") == [(b"kept", b"v")]


async def test_empty_and_large_values_come_back_as_they_went(store: Store) -> None:
    large = bytes(range(256)) * 8192  # 2 MiB
    await store.write(put_all, (b"empty", b""), (b"large", large))

    assert await store.read(get, b"empty") == b""
    assert await store.read(get, b"large") == large
    assert await store.read(scan, b"", b"\xff") == [(b"empty", b""), (b"large", large)]


async def test_keys_are_in_the_order_of_their_bytes(store: Store) -> None:
    keys = [b"\x00", b"\x00\x00", b"\x00\xff", b"A", b"Z", b"a", b"a\x00", b"a\xff", b"\xfe\xff"]
    await store.write(put_all, *((key, b"") for key in keys[::-1]))

    assert [key for key, _ in await store.read(scan, b"", b"\xff")] == keys


async def test_a_thousand_concurrent_writers_are_all_kept(store: Store) -> None:
    async def put(tx: Tx, n: int) -> None:
        assert await tx.get(pack("t", n)) is None
        tx.put(pack("t", n), b"%d" % n)

    await asyncio.gather(*(store.write(put, n) for n in range(1000)))

    found = await store.read(scan, pack("t"), after(pack("t")), 2000)
    assert found == [(pack("t", n), b"%d" % n) for n in range(1000)]


async def test_concurrent_increments_all_count(store: Store) -> None:
    async def increment(tx: Tx) -> None:
        tx.put(b"n", b"%d" % (int(await tx.get(b"n") or 0) + 1))

    await asyncio.gather(*(store.write(increment) for _ in range(200)))

    assert await store.read(get, b"n") == b"200"


async def test_no_two_transactions_both_act_on_what_only_one_may_have_seen(store: Store) -> None:
    """Write skew: each checks the row of the other and writes its own."""

    async def go_on_call(tx: Tx, me: bytes, other: bytes) -> bool:
        if await tx.get(other) is None:
            tx.put(me, b"")
            return True
        return False

    for n in range(20):
        one, two = b"1-%d" % n, b"2-%d" % n
        went = await asyncio.gather(
            store.write(go_on_call, one, two), store.write(go_on_call, two, one)
        )
        assert sorted(went) == [False, True]


async def test_a_read_sees_one_moment(store: Store) -> None:
    async def move(tx: Tx, n: int) -> None:
        tx.put(b"left", b"%d" % n)
        tx.put(b"right", b"%d" % n)

    async def look(tx: ReadTx) -> bool:
        left = await tx.get(b"left")
        return left == await tx.get(b"right")

    await store.write(move, 0)
    looks = [store.read(look) for _ in range(50)]
    _, *same = await asyncio.gather(*(store.write(move, n) for n in range(50)), *looks)

    assert all(same[-50:])


async def test_concurrent_claimers_get_different_pairs_and_miss_none(store: Store) -> None:
    await store.write(put_all, *named(300))

    async def take(tx: Tx) -> list[bytes]:
        claimed = await tx.claim(b"k", b"l", limit=7)
        for key, _ in claimed:
            tx.delete(key)
        return [key for key, _ in claimed]

    async def worker() -> list[bytes]:
        taken: list[bytes] = []
        while some := await store.write(take):
            taken += some
        return taken

    hands = await asyncio.gather(*(worker() for _ in range(12)))
    # A claimer may have met an empty head while the others held it: the rest is taken now.
    taken = sorted([key for hand in hands for key in hand] + await worker())
    assert taken == [key for key, _ in named(300)]


async def test_a_claim_sees_the_transactions_own_writes(store: Store) -> None:
    await store.write(put_all, *named(3))

    async def take(tx: Tx) -> list[Pair]:
        tx.delete(b"k000")
        tx.put(b"k0005", b"new")
        return await tx.claim(b"k", b"l", limit=2)

    assert await store.write(take) == [(b"k0005", b"new"), (b"k001", b"v1")]


async def test_a_watch_hears_of_a_commit_under_its_prefix(store: Store) -> None:
    with store.watch(pack("queue", "a")) as watch:
        await store.write(put_all, (pack("queue", "a", 1), b""))
        await asyncio.wait_for(watch.changed(), 5)


@pytest.mark.parametrize("how", ["delete", "delete_range", "delete_wide_range"])
async def test_a_watch_hears_of_deletions(store: Store, how: str) -> None:
    await store.write(put_all, *((pack("queue", "a", n), b"") for n in range(600)))

    async def forget(tx: Tx) -> None:
        if how == "delete":
            tx.delete(pack("queue", "a", 1))
        elif how == "delete_range":
            tx.delete_range(pack("queue", "a", 1), pack("queue", "a", 3))
        else:
            tx.delete_range(pack("queue"), after(pack("queue")))

    with store.watch(pack("queue", "a")) as watch:
        await store.write(forget)
        await asyncio.wait_for(watch.changed(), 5)


async def test_a_watch_does_not_hear_of_other_prefixes(store: Store) -> None:
    with store.watch(pack("queue", "a")) as watch, store.watch(pack("queue", "b")) as other:
        await store.write(put_all, (pack("queue", "b", 1), b""), (pack("queue", "aa"), b""))
        await asyncio.wait_for(other.changed(), 5)
        unheard = asyncio.ensure_future(watch.changed())
        for _ in range(10):
            await store.write(put_all, (pack("queue", "b", 1), b""))
        assert not unheard.done()
        unheard.cancel()


async def test_who_watches_first_and_looks_second_misses_nothing(store: Store) -> None:
    """Each consumer waits whenever it finds nothing; a missed wake-up would leave it waiting."""
    mark = pack("ready")

    async def take_one(tx: Tx) -> int:
        found = await tx.scan(mark, after(mark), limit=1)
        for key, _ in found:
            tx.delete(key)
        return len(found)

    async def consume(count: int) -> None:
        while count:
            with store.watch(mark) as watch:
                while not (took := await store.write(take_one)):
                    await watch.changed()
                count -= took

    async def produce() -> None:
        for n in range(60):
            await store.write(put_all, (pack("ready", n), b""))

    await asyncio.wait_for(asyncio.gather(consume(20), produce(), consume(20), consume(20)), 30)


async def test_a_watch_hears_only_what_can_be_read(store: Store) -> None:
    seen: list[bytes | None] = []

    async def follow() -> None:
        with store.watch(b"n") as watch:
            seen.append(await store.read(get, b"n"))
            while seen[-1] != b"9":
                await watch.changed()
                seen.append(await store.read(get, b"n"))

    following = asyncio.ensure_future(follow())
    for n in range(10):
        await store.write(put_all, (b"n", b"%d" % n))
    await asyncio.wait_for(following, 5)
    assert [value for value in seen if value] == sorted(value for value in seen if value)


async def test_on_commit_hears_before_the_writer_is_answered(store: Store) -> None:
    heard: list[str] = []
    store.on_commit(pack("policies"), lambda: heard.append("policies"))
    store.on_commit(pack("policies", "me"), lambda: heard.append("mine"))

    await store.write(put_all, (pack("policies", "me"), b""), (pack("policies", "you"), b""))
    assert sorted(heard) == ["mine", "policies"]

    await store.write(put_all, (pack("queues"), b""))
    await store.read(get, pack("policies", "me"))
    assert len(heard) == 2


async def test_on_commit_does_not_hear_of_what_was_rolled_back(store: Store) -> None:
    heard: list[str] = []
    store.on_commit(pack("policies"), lambda: heard.append("policies"))

    async def fail(tx: Tx) -> None:
        tx.put(pack("policies"), b"")
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fail)
    assert not heard


async def test_what_flush_sources_hold_is_written_by_a_flush(store: Store) -> None:
    counted = [(b"hits", b"3")]
    store.at_flush(lambda: [counted.pop()] if counted else [])

    await store.flush()
    await store.flush()

    assert await store.read(get, b"hits") == b"3"


async def test_pairs_are_everything_in_order(store: Store) -> None:
    await store.write(put_all, *named(2500, b"k"))

    found = [pair async for piece in store.pairs() for pair in piece]

    assert found == sorted(named(2500, b"k"))


async def test_pairs_are_those_of_one_moment(store: Store) -> None:
    await store.write(put_all, *named(3000))
    pieces = store.pairs()

    found = [*await anext(pieces)]
    await store.write(put_all, (b"k2999", b"changed"), (b"l", b"new"))
    found += [pair async for piece in pieces for pair in piece]

    assert dict(found) == dict(named(3000))


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.write(put_all, (b"k", b"v"))
    await store.close()

    with pytest.raises(StoreUnavailable):
        await store.read(get, b"k")
    with pytest.raises(StoreUnavailable):
        await store.write(put_all, (b"k", b"v"))
    await store.close()  # nothing happens


async def test_writers_under_way_when_the_store_closes_are_answered(store: Store) -> None:
    await store.write(put_all, (b"k", b"v"))
    writers = [asyncio.ensure_future(store.write(put_all, (b"n", b"%d" % n))) for n in range(20)]
    await asyncio.sleep(0)

    await store.close()

    answers = await asyncio.wait_for(asyncio.gather(*writers, return_exceptions=True), 10)
    assert all(answer is None or isinstance(answer, StoreUnavailable) for answer in answers)


async def test_a_cancelled_writer_harms_nobody(store: Store) -> None:
    writers = [asyncio.ensure_future(store.write(put_all, (b"%d" % n, b""))) for n in range(20)]
    await asyncio.sleep(0)
    for writer in writers[::2]:
        writer.cancel()

    answers = await asyncio.wait_for(asyncio.gather(*writers, return_exceptions=True), 10)

    assert answers[1::2] == [None] * 10
    await store.write(put_all, (b"after", b""))
    assert await store.read(get, b"after") == b""
