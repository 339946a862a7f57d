"""Whatever is done to an engine, it answers as a plain dict would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyfold.store.api import Pair, Store, Tx

KEY = st.text(alphabet="\x00ab\xff", min_size=1, max_size=3).map(lambda text: text.encode("latin1"))
VALUE = st.binary(max_size=2)
STEP = st.one_of(
    st.tuples(st.just("get"), KEY),
    st.tuples(st.just("put"), KEY, VALUE),
    st.tuples(st.just("delete"), KEY),
    st.tuples(st.just("delete_range"), KEY, KEY),
    st.tuples(st.just("scan"), KEY, KEY, st.integers(0, 5), st.booleans()),
    st.tuples(st.just("claim"), KEY, KEY, st.integers(0, 5)),
)
TRANSACTION = st.tuples(st.lists(STEP, max_size=8), st.booleans())


class RolledBack(Exception):
    pass


async def run_on_engine(tx: Tx, steps: list[Any], ending_well: bool) -> list[Any]:
    answers: list[Any] = []
    for name, *args in steps:
        if name == "get":
            answers.append(await tx.get(*args))
        elif name == "scan":
            start, stop, limit, reverse = args
            answers.append(await tx.scan(start, stop, limit=limit, reverse=reverse))
        elif name == "claim":
            start, stop, limit = args
            answers.append(await tx.claim(start, stop, limit=limit))
        else:
            getattr(tx, name)(*args)
    if not ending_well:
        raise RolledBack
    return answers


def run_on_model(model: dict[bytes, bytes], steps: list[Any]) -> list[Any]:
    answers: list[Any] = []
    for name, *args in steps:
        if name == "get":
            answers.append(model.get(args[0]))
        elif name == "put":
            model[args[0]] = args[1]
        elif name == "delete":
            model.pop(args[0], None)
        elif name == "delete_range":
            for key, _ in between(model, args[0], args[1]):
                del model[key]
        else:
            start, stop, limit = args[:3]
            found = between(model, start, stop)
            answers.append((found[::-1] if args[3:] == [True] else found)[:limit])
    return answers


def between(model: dict[bytes, bytes], start: bytes, stop: bytes) -> list[Pair]:
    return sorted(pair for pair in model.items() if start <= pair[0] < stop)


async def forget_everything(tx: Tx) -> None:
    tx.delete_range(b"", b"\xff\xff\xff\xff")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(transactions=st.lists(TRANSACTION, max_size=6))
async def test_an_engine_answers_as_a_dict_would(store: Store, transactions: list[Any]) -> None:
    await store.write(forget_everything)
    model: dict[bytes, bytes] = {}
    for steps, ending_well in transactions:
        changed = dict(model)
        expected = run_on_model(changed, steps)
        if ending_well:
            assert await store.write(run_on_engine, steps, True) == expected
            model = changed
        else:
            with pytest.raises(RolledBack):
                await store.write(run_on_engine, steps, False)
    found = [pair async for piece in store.pairs() for pair in piece]
    assert found == sorted(model.items())
