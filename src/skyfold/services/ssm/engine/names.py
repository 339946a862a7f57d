"""Names of parameters: what is allowed, and selectors (``name:3``, ``name:label``)."""

from __future__ import annotations

import re
from typing import NamedTuple

_ALLOWED = re.compile(r"^[a-zA-Z0-9_.\-/]+$")


class Selected(NamedTuple):
    name: str
    selector: str
    """A version, a label, or nothing for the current version."""


def selected(text: str) -> Selected:
    """A name, ARN or either with a selector, taken apart."""
    if text.startswith("arn:"):
        resource = text.split(":", 5)[5]
        name, _, selector = resource.removeprefix("parameter").partition(":")
        return Selected(name, selector)
    name, _, selector = text.partition(":")
    return Selected(name, selector)


def complaint(name: str, levels_max: int) -> str:
    """What is wrong with a new parameter's name; empty where nothing is."""
    lowered = name.lstrip("/").lower()
    if lowered.startswith(("aws", "ssm")):
        return 'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).'
    if not _ALLOWED.match(name):
        return (
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a '
            "path, it can consist of sub-paths divided by slash symbol; each sub-path can be "
            "formed as a mix of letters, numbers and the following 3 symbols .-_"
        )
    if "/" in name and not name.startswith("/"):
        return "Parameter name must be a fully qualified name."
    if name.count("/") > levels_max:
        return f"A hierarchy can have a maximum of {levels_max} levels."
    return ""
