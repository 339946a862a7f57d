"""Java's regular expressions in Python."""

from __future__ import annotations

import time

import pytest

from skyfold.kernel.wire import patterns
from skyfold.kernel.wire.shapes import load
from tests.kernel.wire.declared import MODELS


@pytest.mark.parametrize("model", MODELS)
def test_every_pattern_of_a_declared_service_has_a_python_form(model: str) -> None:
    for name, shape in load(model).raw["shapes"].items():
        if "pattern" in shape:
            patterns.matcher(shape["pattern"])(f"any text, {name}")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"[\w-_]*", "a-b_c", True),
        (r"[\w-_]*", "a b", False),
        (r"[1-5]\d\d", "404", True),
        (r"[1-5]\d\d", "4040", False),
        (r"\d+", "\u0663", False),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "gr\u00fc\u00df dich", True),
        (r"[\p{L}]*", "1", False),
        (r"\p{Alnum}+", "a1", True),
        (r"^(?i)(true|false)$", "TRUE", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "\U0001f600", True),
        (r"[\S\s]*", "a\nb", True),
        (r".*", "a\nb", False),
        (r"\Qa.b\E", "a.b", True),
        (r"\Qa.b\E", "axb", False),
        (r"a++b", "aab", True),
        (r"[[a-c]x]+", "abx", True),
        (r"[a&&b]", "&", True),
        (r"[[:alnum:]]+", "a1", True),
    ],
)
def test_a_java_pattern_means_what_it_means_in_java(
    pattern: str, text: str, expected: bool
) -> None:
    assert patterns.matcher(pattern)(text) is expected


def test_a_pattern_without_a_python_form_says_so() -> None:
    with pytest.raises(patterns.Unsupported):
        patterns.matcher(r"[\p{Print}&&[^|:/]]+")


def test_a_pattern_that_backtracks_forever_is_given_up() -> None:
    matches = patterns.matcher(r"(a+)+b")

    begun = time.perf_counter()
    found = matches("a" * 4000)

    assert found is False
    assert time.perf_counter() - begun < 5
