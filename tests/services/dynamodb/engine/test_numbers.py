"""Numbers keep 38 digits, one canonical text each, and sort as keys as they sort as numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfold.services.dynamodb.engine import numbers
from skyfold.services.dynamodb.errors import ValidationException


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Numbers in range, in any spelling."""
    digits = draw(st.integers(1, 10**38 - 1)) if draw(st.booleans()) else draw(st.integers(0, 999))
    exponent = draw(st.integers(-130, 125))
    sign = draw(st.sampled_from(["", "-", "+"]))
    text = str(digits)
    power = exponent - len(text) + 1
    form = draw(st.sampled_from("eEp"))
    if form == "p" and -40 < power < 40:
        return sign + format(Decimal(digits).scaleb(power), "f")
    return f"{sign}{text}{'e' if form == 'p' else form}{power}"


@given(texts())
def test_the_canonical_text_is_the_same_number_and_its_own_canonical_text(text: str) -> None:
    canonical = numbers.canonical(text)

    assert Decimal(canonical) == Decimal(text)
    assert numbers.canonical(canonical) == canonical
    assert "E" not in canonical.upper()


@given(texts(), texts())
def test_keys_sort_as_the_numbers_do(left: str, right: str) -> None:
    one, two = numbers.canonical(left), numbers.canonical(right)

    encoded = numbers.encode(one), numbers.encode(two)

    assert (encoded[0] < encoded[1]) == (Decimal(one) < Decimal(two))
    assert (encoded[0] == encoded[1]) == (one == two)


@given(texts(), texts())
def test_no_key_is_the_beginning_of_another(left: str, right: str) -> None:
    one, two = numbers.encode(numbers.canonical(left)), numbers.encode(numbers.canonical(right))

    assert one == two or not one.startswith(two)


@given(st.integers(-(10**37), 10**37), st.integers(-(10**37), 10**37), st.integers(-60, 60))
def test_sums_and_differences_are_exact(left: int, right: int, power: int) -> None:
    one = numbers.canonical(f"{left}e{power}")
    two = numbers.canonical(f"{right}e{power}")

    assert numbers.add(one, two) == numbers.canonical(f"{left + right}e{power}")
    assert numbers.subtract(one, two) == numbers.canonical(f"{left - right}e{power}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("abc", "The parameter cannot be converted to a numeric value: abc"),
        ("1 ", "The parameter cannot be converted to a numeric value: 1 "),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("٣", "The parameter cannot be converted to a numeric value: ٣"),
        ("1" * 39, "Attempting to store more than 38 significant digits in a Number"),
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger"),
        ("1e-131", "Number underflow. Attempting to store a number with magnitude smaller"),
    ],
)
def test_what_is_no_number_in_range_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValidationException, match=problem):
        numbers.canonical(text)


def test_a_sum_that_needs_more_than_38_digits_is_refused() -> None:
    with pytest.raises(ValidationException, match="more than 38 significant digits"):
        numbers.add("1" + "0" * 40, "1")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 1),
        ("-0", 1),
        ("1", 2),
        ("12", 2),
        ("123", 3),
        ("100", 2),
        ("1010", 3),
        ("1E125", 2),
        ("1E-100", 2),
        ("1.5", 3),
        ("1.234", 4),
        ("3.14159", 5),
        ("100.5", 4),
        ("0.15", 2),
        ("-42", 3),
        ("12345678901234567890123456789012345678", 20),
    ],
)
def test_a_number_counts_for_half_a_byte_a_digit_on_each_side(text: str, size: int) -> None:
    assert numbers.size(numbers.canonical(text)) == size
