"""The models' regular expressions, written for Java, as Python expressions that cannot run away."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

_TIMEOUT_S = 0.25
"""How long a pattern that may backtrack exponentially can look at one value."""
_LONG = 4096
"""Characters from which on even a square of their number is worth bounding."""
_CLASSES = {
    "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9", "Upper": "A-Z", "Lower": "a-z",
    "Punct": r"!-/:-@\[-`{-~", "Space": r"\s", "Blank": r" \t", "XDigit": "0-9a-fA-F",
    "Cntrl": r"\x00-\x1f\x7f", "Graph": "!-~", "Print": " -~", "ASCII": r"\x00-\x7f",
}  # fmt: skip
"""Java's POSIX classes, which are ASCII."""
_SHORT = {"d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\r\f\v", "h": r" \t\xa0"}
"""Java's short classes, which are ASCII even beside Unicode properties."""
_PROPERTIES = {"all": "Any", "LD": "Alphabetic"}
"""Java's names of Unicode properties, where Python's are others."""
_NESTED = re.compile(r"[+*}]\)+(?:[+*]|\{\d+,(?!0\}|1\}))|[+*]\)+\?\)*[+*]|\|[^()]*\)[+*]")
"""A repetition around a repetition or around an alternation: what can backtrack exponentially."""

Matcher = Callable[[str], bool]


class Unsupported(ValueError):
    """A pattern that has no Python form."""


@functools.lru_cache(maxsize=4096)
def matcher(pattern: str) -> Matcher:
    """Whether the whole of a text matches the Java ``pattern``, within a bounded time."""
    plain, needs_unicode = translate(pattern)
    if needs_unicode or _runs_away(plain):
        return _bounded(plain)
    try:
        fullmatch = re.compile(plain, re.ASCII).fullmatch
    except re.error as error:
        raise Unsupported(f"{pattern}: {error}") from error
    return lambda text: fullmatch(text) is not None if len(text) <= _LONG else _bounded(plain)(text)


@functools.cache
def _bounded(plain: str) -> Matcher:
    import regex  # type: ignore[import-untyped]  # its stubs are a package of their own

    try:
        fullmatch: Any = regex.compile(plain, regex.VERSION0).fullmatch
    except regex.error as error:
        raise Unsupported(f"{plain}: {error}") from error

    def matches(text: str) -> bool:
        try:
            return fullmatch(text, timeout=_TIMEOUT_S) is not None
        except TimeoutError:
            return False  # nothing that AWS takes is so hard to match

    return matches


def _runs_away(plain: str) -> bool:
    return _NESTED.search(plain) is not None or plain.count(".*") + plain.count(".+") > 2


def translate(pattern: str) -> tuple[str, bool]:
    """The pattern in Python's syntax, and whether it needs Unicode properties."""
    out: list[str] = []
    at, depth, needs_unicode = 0, 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            is_class = pattern[at + 1] in "dDsSwWpPhH"
            piece, at, unicode_class = _escape(pattern, at, bool(depth))
            out.append(piece)
            needs_unicode = needs_unicode or unicode_class
            if depth and is_class and pattern[at : at + 1] == "-":
                out.append("\\-")  # after a class, a dash begins no range
                at += 1
            continue
        if depth:
            piece, step, at = _in_class(pattern, at, depth)
            depth += step
            out.append(piece)
            continue
        if char == "{" and out and out[-1] in ("$", "}"):
            # A repeated anchor is the anchor; a repetition repeated is kept apart by a group.
            out[-1:] = ["}", "(?:)"] if out[-1] == "}" else ["$", "(?:)"]
        if pattern.startswith("(?i)", at) and at:
            # Java's flag holds from here to the end of the group.
            close = _end_of_group(pattern, at)
            inner, unicode_inside = translate(pattern[at + 4 : close])
            out.append(f"(?i:{inner})")
            needs_unicode, at = needs_unicode or unicode_inside, close
            continue
        if char == "[":
            depth = 1
            opening = re.match(r"\[\^?\]?", pattern[at:])
            assert opening is not None
            # Java takes a bracket at once after the opening one for a literal only where escaped,
            # but the models, written by many hands, mean a literal.
            out.append(opening[0].replace("]", "\\]"))
            at += len(opening[0])
            continue
        out.append(r"[^\n\r\u0085\u2028\u2029]" if char == "." else char)
        at += 1
    return "".join(out), needs_unicode


def _end_of_group(pattern: str, at: int) -> int:
    """Where the group that holds position ``at`` ends."""
    depth, at = 0, at + 4
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "(":
            depth += 1
        elif pattern[at] == ")":
            if not depth:
                return at
            depth -= 1
        at += 1
    return at


def _in_class(pattern: str, at: int, depth: int) -> tuple[str, int, int]:
    """One piece of a bracket expression: its text, the change in depth, where to go on."""
    char = pattern[at]
    if char == "]":
        # A nested class is a union: its brackets are left out.
        return ("]" if depth == 1 else ""), -1, at + 1
    if pattern.startswith("[:", at):
        end = pattern.find(":]", at)
        name = pattern[at + 2 : end].title() if end > 0 else ""
        if name in _CLASSES:
            return _CLASSES[name], 0, end + 2
    if char == "[":
        if (
            pattern[at + 1 : at + 2] not in ("^", "]", "")
            and "]" in pattern[at + 1 :].replace("\\]", "").partition("]")[2]
        ):
            return "", 1, at + 1
        return "\\[", 0, at + 1
    if pattern.startswith("&&", at) and pattern[at + 2 : at + 3] == "[":
        raise Unsupported(f"class intersection: {pattern}")
    if char in "&-|~" and pattern[at + 1 : at + 2] == char:
        return "\\" + char, 0, at + 1
    return char, 0, at + 1


def _escape(pattern: str, at: int, in_class: bool) -> tuple[str, int, bool]:
    """One escape: its Python form, where to go on, whether it is a Unicode property."""
    char = pattern[at + 1]
    if char in "pP":
        found = re.match(r"\{(\^?)(?:Is|In|javaLetter|L=)?(\w+)\}|(\w)", pattern[at + 2 :])
        if found is None:
            raise Unsupported(f"property: {pattern}")
        end = at + 2 + found.end()
        name = _PROPERTIES.get(found[2] or found[3], found[2] or found[3])
        if name in _CLASSES and char == "p":
            return (_CLASSES[name] if in_class else f"[{_CLASSES[name]}]"), end, False
        return f"\\{char}{{{found[1] or ''}{name}}}", end, True
    if char == "u" and re.fullmatch("[0-9a-fA-F]{4}", pattern[at + 2 : at + 6]):
        return _code_point(pattern, at)
    if char == "x" and pattern[at + 2 : at + 3] == "{":
        end = pattern.index("}", at)
        return f"\\U{int(pattern[at + 3 : end], 16):08x}", end + 1, False
    if char == "Q":
        end = pattern.find("\\E", at)
        end = len(pattern) if end < 0 else end
        return re.escape(pattern[at + 2 : end]), end + 2, False
    if char in _SHORT:
        return (_SHORT[char] if in_class else f"[{_SHORT[char]}]"), at + 2, False
    if char in "DSW" and not in_class:
        return f"[^{_SHORT[char.lower()]}]", at + 2, False
    if char in "zZ":
        return "\\Z", at + 2, False
    if char.isalpha() and char not in "AbBdDsSwWtnrfvaxu0":
        return re.escape(char), at + 2, False
    return pattern[at : at + 2], at + 2, False


def _code_point(pattern: str, at: int) -> tuple[str, int, bool]:
    r"""``\ud800\udc00`` is one character."""
    high = int(pattern[at + 2 : at + 6], 16)
    low = re.match(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})", pattern[at + 6 :])
    if 0xD800 <= high < 0xDC00 and low:
        code = 0x10000 + ((high - 0xD800) << 10) + (int(low[1], 16) - 0xDC00)
        return f"\\U{code:08x}", at + 12, False
    return f"\\u{high:04x}", at + 6, False
