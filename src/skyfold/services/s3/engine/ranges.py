"""Byte ranges of GET, and of the source of a copied part."""

from __future__ import annotations

import re

from skyfold.services.s3.errors import InvalidArgument, InvalidRange, InvalidRequest

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_COPY_FORM = (
    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last"
    " are the zero-based offsets of the first and last bytes to copy"
)


def requested(header: str, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of a Range header; None where it is to be ignored.

    As HTTP says: what is not a single well-formed range is as if it were not there.
    """
    found = _RANGE.fullmatch(header)
    if found is None or found[0].strip().endswith("=-"):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
        satisfiable = int(last) > 0 and size > 0
    else:
        start = int(first)
        stop = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
        satisfiable = start < size
    if not satisfiable:
        raise InvalidRange(ActualObjectSize=str(size), RangeRequested=header)
    return start, stop


def of_copy(header: str, size: int) -> tuple[int, int]:
    """Start and end (exclusive) of x-amz-copy-source-range."""
    found = _COPY_RANGE.fullmatch(header)
    if found is None or int(found[1]) > int(found[2]):
        raise InvalidArgument(
            _COPY_FORM, ArgumentName="x-amz-copy-source-range", ArgumentValue=header
        )
    start, last = int(found[1]), int(found[2])
    if start >= size:
        raise InvalidRequest("The specified copy range is invalid for the source object size")
    if last >= size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return start, last + 1
