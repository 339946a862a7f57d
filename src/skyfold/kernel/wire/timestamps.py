"""Timestamps: the three spellings of the wire to and from milliseconds since the epoch."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HTTP_DATE = re.compile(
    r"(?:[A-Za-z]{3,9}, ?)?(\d{1,2})[ -]([A-Za-z]{3})[ -](\d{2,4}) "
    r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? ?(?:GMT|UTC|[+-]0000)?"
)
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r"(?:[Zz]|([+-])(\d\d):?(\d\d)?)?"
)
_MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999."""


def from_seconds(seconds: float) -> int:
    """Epoch seconds, with a fraction or without, to ms. Raises ValueError where out of range."""
    if not -_MAX_SECONDS <= seconds <= _MAX_SECONDS:  # false for NaN, too
        raise ValueError(f"timestamp out of range: {seconds}")
    if isinstance(seconds, int):
        return seconds * 1000
    # Rounded to microseconds first: 1.003 is stored as 1.00299999...
    return round(seconds * 1_000_000) // 1000


def from_iso8601(text: str) -> int:
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(f"not a timestamp: {text}")
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    whole = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), tzinfo=UTC)
    seconds = int(whole.timestamp()) + min(int(second or 0), 60)
    if sign:
        offset = int(off_hours) * 3600 + int(off_minutes or 0) * 60
        seconds += -offset if sign == "+" else offset
    return seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def from_http_date(text: str) -> int:
    found = _HTTP_DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a date: {text}")
    day, month, year, hour, minute, second, fraction = found.groups()
    if month.title() not in _MONTHS:
        raise ValueError(f"not a date: {text}")
    full_year = int(year) if len(year) == 4 else 1900 + int(year) + 100 * (int(year) < 70)
    whole = datetime(
        full_year, _MONTHS.index(month.title()) + 1, int(day), int(hour), int(minute), tzinfo=UTC
    )
    millis = int((fraction or "0").ljust(3, "0")[:3])
    return (int(whole.timestamp()) + int(second)) * 1000 + millis


def from_text(text: str) -> int:
    """Whichever spelling ``text`` is in. Raises ValueError where it is in none."""
    text = text.strip()
    try:
        return from_iso8601(text)
    except ValueError:
        pass
    if _HTTP_DATE.fullmatch(text):
        return from_http_date(text)
    if not text.isascii():
        raise ValueError(f"not a timestamp: {text}")
    return from_seconds(int(text) if text.lstrip("-").isdigit() else float(text))


def from_json(value: object) -> int:
    """A JSON or CBOR number or string."""
    if isinstance(value, str):
        return from_text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return from_seconds(value)
    raise ValueError(f"not a timestamp: {value!r}")


def to_seconds(ms: int) -> float | int:
    """Epoch seconds; an int where there is no fraction."""
    whole, rest = divmod(ms, 1000)
    return whole if not rest else ms / 1000


_SECONDS = tuple(f"{second:02d}" for second in range(60))
_MILLIS = tuple(f".{millis:03d}Z" for millis in range(1000))


@functools.lru_cache(maxsize=8192)
def _iso_minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).isoformat()[:17]


def to_iso8601(ms: int) -> str:
    """With milliseconds only where there are some."""
    seconds, millis = divmod(ms, 1000)
    minute, second = divmod(seconds, 60)
    fraction = _MILLIS[millis] if millis else "Z"
    return f"{_iso_minute(minute)}{_SECONDS[second]}{fraction}"


def to_iso8601_ms(ms: int) -> str:
    """With milliseconds always, as S3 has it."""
    seconds, millis = divmod(ms, 1000)
    minute, second = divmod(seconds, 60)
    return f"{_iso_minute(minute)}{_SECONDS[second]}{_MILLIS[millis]}"


@functools.lru_cache(maxsize=2048)
def _http_second(seconds: int) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year:04d} "
        f"{at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"
    )


def to_http_date(ms: int) -> str:
    return _http_second(int(ms) // 1000)


def to_epoch_text(ms: int) -> str:
    return str(to_seconds(ms))


WRITERS = {
    "iso8601": to_iso8601,
    "rfc822": to_http_date,
    "unixTimestamp": to_epoch_text,
    "unixtimestamp": to_epoch_text,
}
"""Text by ``timestampFormat``."""
