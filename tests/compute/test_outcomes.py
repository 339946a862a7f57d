"""What an outcome says of itself."""

from __future__ import annotations

import pytest

from skyfold.compute.api import Outcome
from skyfold.compute.outcomes import error_type


@pytest.mark.parametrize(
    ("duration_ms", "init_ms", "billed_ms"),
    [(0.2, None, 1), (1.0, None, 1), (1.01, None, 2), (10.5, 20.6, 32), (5.0, 5.0, 10)],
)
def test_whole_milliseconds_are_billed_with_the_init(
    duration_ms: float, init_ms: float | None, billed_ms: int
) -> None:
    outcome = Outcome(payload=b"", kind="ok", duration_ms=duration_ms, init_ms=init_ms)

    assert outcome.billed_ms == billed_ms


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b'{"errorType": "KeyError"}', "KeyError"),
        (b'{"errorType": ""}', "Runtime.Unknown"),
        (b'{"errorType": 1}', "Runtime.Unknown"),
        (b"[1]", "Runtime.Unknown"),
        (b"no json", "Runtime.Unknown"),
    ],
)
def test_the_type_of_an_error_is_what_its_json_says(payload: bytes, kind: str) -> None:
    assert error_type(payload) == kind
