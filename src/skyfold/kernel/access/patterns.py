"""Matching with wildcards: ``*`` for any run of characters, ``?`` for one."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable

Matcher = Callable[[str], object]
"""Truthy where the text matches."""
STAR, MARK = "\ue000", "\ue001"
"""Stand in a pattern for a ``*`` and a ``?`` that mean themselves."""
ARN_COLONS = 5
"""An ARN's first five colons part it; later ones belong to the resource."""
_WILD = re.compile(r"[*?\ue000\ue001]").search


def _always(_text: str) -> bool:
    return True


def _never(_text: str) -> bool:
    return False


def literal(text: str) -> str:
    """A pattern that matches just ``text``."""
    return text.replace("*", STAR).replace("?", MARK) if "*" in text or "?" in text else text


def plain(pattern: str) -> str:
    """The text of a pattern that is compared, not matched: stand-ins become what they stand for."""
    return pattern.replace(STAR, "*").replace(MARK, "?")


@functools.lru_cache(maxsize=16384)
def matcher(pattern: str) -> Matcher:
    """Whether a whole text matches ``pattern``; case counts."""
    if pattern == "*":
        return _always
    if not _WILD(pattern):
        return pattern.__eq__
    head = pattern[:-1]
    if pattern.endswith("*") and not _WILD(head):
        return lambda text: text.startswith(head)
    return re.compile(_regex(pattern), re.DOTALL).fullmatch


def _regex(pattern: str) -> str:
    """Each star takes as little as it can and gives nothing back: time linear in the text."""
    first, *rest = [_piece(piece) for piece in re.split(r"\*+", pattern)]
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + last


def _piece(text: str) -> str:
    return "".join("." if c == "?" else re.escape(plain(c)) for c in text)


def any_of(patterns: Iterable[str]) -> Matcher:
    """Whether a text matches one of ``patterns``: exact ones by a set, the others in turn."""
    kept = [*dict.fromkeys(patterns)]
    exact = frozenset(p for p in kept if not _WILD(p))
    wild = [matcher(p) for p in kept if p not in exact]
    if _always in wild:
        return _always
    if not wild:
        return exact.__contains__ if kept else _never
    if len(kept) == 1:
        return wild[0]
    return lambda text: text in exact or any(match(text) for match in wild)


@functools.lru_cache(maxsize=16384)
def arn_matcher(pattern: str) -> Matcher:
    """As ArnLike compares: each of the six parts by itself, so that no star crosses a colon.

    A pattern of fewer parts matches only by a star at its end: ``*``, ``arn:aws:s3*``.
    """
    parts = pattern.split(":", ARN_COLONS)
    if len(parts) <= ARN_COLONS:
        return matcher(pattern) if pattern.endswith("*") else _never
    matchers = [matcher(part) for part in parts]

    def match(text: str) -> bool:
        found = text.split(":", ARN_COLONS)
        return len(found) == len(matchers) and all(
            check(part) for check, part in zip(matchers, found, strict=True)
        )

    return match
