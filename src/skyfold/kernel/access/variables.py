"""Policy variables: ``${aws:username}`` in resources and condition values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from skyfold.kernel.access.patterns import MARK, STAR, literal

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DEFAULT = re.compile(r"\s*([^,]*?)\s*,\s*'(.*)'\s*\Z", re.DOTALL)
_SPECIAL = {"*": STAR, "?": MARK, "$": "$"}


class Lookup(Protocol):
    """What variables and conditions ask: the request's context."""

    def values(self, key: str) -> tuple[str, ...] | None:
        """The values of a context key (in lower case), None where the request has none."""


Expand = Callable[[Lookup], str | None]
"""The pattern with its variables filled in; None where one has no value."""


def has_variables(text: str) -> bool:
    return "${" in text and _VARIABLE.search(text) is not None


def keys_in(text: str) -> set[str]:
    """The context keys that ``text`` asks for, in lower case."""
    names = (_parsed(found)[0] for found in _VARIABLE.findall(text))
    return {name for name in names if name not in _SPECIAL}


def template(text: str) -> Expand:
    """Compile a text with variables. Values filled in never act as wildcards."""
    parts = _VARIABLE.split(text)
    fixed, asked = parts[::2], [_parsed(part) for part in parts[1::2]]

    def expand(context: Lookup) -> str | None:
        out = [fixed[0]]
        for (name, default), after in zip(asked, fixed[1:], strict=True):
            value = _SPECIAL.get(name)
            if value is None:
                found = context.values(name)
                if found is not None and len(found) == 1:
                    value = literal(found[0])
                elif default is not None:
                    value = literal(default)
                else:
                    return None
            out.append(value)
            out.append(after)
        return "".join(out)

    return expand


def _parsed(inside: str) -> tuple[str, str | None]:
    with_default = _DEFAULT.match(inside)
    if with_default:
        return with_default[1].lower(), with_default[2]
    return inside.strip().lower(), None
