"""DynamoDB's numbers: 38 decimal digits, exact, kept as canonical text that never has an exponent.

Two numbers are equal exactly when their canonical texts are.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

from skyfold.services.dynamodb.errors import ValidationException
from skyfold.services.dynamodb.limits import (
    NUMBER_DIGITS_MAX,
    NUMBER_EXPONENT_MAX,
    NUMBER_EXPONENT_MIN,
)

_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?", re.ASCII)
_EXACT = Context(prec=600, Emax=MAX_EMAX, Emin=MIN_EMIN)
_CANONICAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{0,15}[1-9])?")
"""What is in canonical form already and has few enough digits: nearly every number there is."""


def canonical(text: str) -> str:
    """``text`` as a plain decimal. Raises ValidationException where it is no number in range."""
    if _CANONICAL.fullmatch(text) and text != "-0":
        return text
    negative, digits, exponent = _taken_apart(text)
    if not digits:
        return "0"
    if exponent > NUMBER_EXPONENT_MAX:
        raise ValidationException(
            "Number overflow. Attempting to store a number with magnitude larger than "
            "supported range"
        )
    if exponent < NUMBER_EXPONENT_MIN:
        raise ValidationException(
            "Number underflow. Attempting to store a number with magnitude smaller than "
            "supported range"
        )
    if len(digits) > NUMBER_DIGITS_MAX:
        raise ValidationException("Attempting to store more than 38 significant digits in a Number")
    return ("-" if negative else "") + _plain(digits, exponent)


def _taken_apart(text: str) -> tuple[bool, str, int]:
    """Sign, significant digits and the exponent of the first of them; no digits for zero."""
    if not text:
        raise ValidationException("The parameter cannot be converted to a numeric value")
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise ValidationException(f"The parameter cannot be converted to a numeric value: {text}")
    sign, whole, fraction, power = found[1], found[2], found[3] or "", int(found[4] or 0)
    all_digits = whole + fraction
    significant = all_digits.lstrip("0")
    exponent = len(whole) - 1 - (len(all_digits) - len(significant)) + power
    return sign == "-", significant.rstrip("0"), exponent


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def add(left: str, right: str) -> str:
    return canonical(str(_EXACT.add(Decimal(left), Decimal(right))))


def subtract(left: str, right: str) -> str:
    return canonical(str(_EXACT.subtract(Decimal(left), Decimal(right))))


def size(number: str) -> int:
    """The bytes that a canonical number counts for.

    One, and one for every two significant digits on either side of the point, each side rounded
    up, and one for a sign.
    """
    if number == "0":
        return 1
    negative = number[0] == "-"
    whole, _, fraction = number.lstrip("-").partition(".")
    if not fraction:
        return 1 + (len(whole.rstrip("0")) + 1) // 2 + negative
    if whole == "0":
        return 1 + (len(fraction.lstrip("0")) + 1) // 2 + negative
    return 1 + (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + negative


_PAIRS = {f"{n:02d}": n + 1 for n in range(100)}


def encode(number: str) -> bytes:
    """A key that sorts as the canonical ``number`` does, and tells its own end.

    A class byte (00 negative, 01 zero, 02 positive), the exponent, then two digits to a byte and a
    terminator. What follows the class of a negative number is complemented.
    """
    if number == "0":
        return b"\x01"
    negative = number[0] == "-"
    whole, _, fraction = (number[1:] if negative else number).partition(".")
    if whole == "0":
        digits = fraction.lstrip("0")
        exponent = len(digits) - len(fraction) - 1
    else:
        digits, exponent = whole + fraction, len(whole) - 1
    digits = digits.rstrip("0")
    if len(digits) & 1:
        digits += "0"
    pairs = [_PAIRS[digits[at : at + 2]] for at in range(0, len(digits), 2)]
    body = bytes((exponent - NUMBER_EXPONENT_MIN, *pairs, 0))
    return b"\x00" + bytes(255 - byte for byte in body) if negative else b"\x02" + body
