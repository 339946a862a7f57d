"""The forms in which a function is named: its name, a partial ARN, an ARN, with a qualifier."""

from __future__ import annotations

import re
from typing import NamedTuple

_FORMS = re.compile(
    r"^(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$"
)


class FunctionName(NamedTuple):
    """What a FunctionName says; parts that it leaves open are empty."""

    name: str
    account: str
    region: str
    qualifier: str


def function_name(text: str) -> FunctionName | None:
    """The parts of ``text``, or None where it is no form of a function's name."""
    found = _FORMS.match(text)
    if found is None:
        return None
    return FunctionName(
        found["name"], found["account"] or "", found["region"] or "", found["qualifier"] or ""
    )
