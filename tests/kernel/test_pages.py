"""Page tokens: opaque, bound to their purpose, refused when tampered with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.kernel import pages

parts = st.lists(st.text(max_size=20) | st.integers(0, 2**62) | st.binary(max_size=20), max_size=4)


@given(parts)
def test_a_position_comes_back_as_it_was(position: list[str | int | bytes]) -> None:
    assert pages.position("list", pages.token("list", *position)) == tuple(position)


@given(st.text(max_size=60))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(pages.BadToken):
        pages.position("list", text)


def test_a_token_is_good_for_its_own_purpose_only() -> None:
    with pytest.raises(pages.BadToken):
        pages.position("other", pages.token("list", "x"))
