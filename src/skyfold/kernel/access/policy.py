"""Policy documents compiled to matchers: once for each text, and never per request."""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from skyfold.kernel.access import conditions
from skyfold.kernel.access.patterns import Matcher, any_of, matcher
from skyfold.kernel.access.variables import Expand, Lookup, has_variables, keys_in, template
from skyfold.kernel.principal import Principal

CURRENT = "2012-10-17"
"""The version of the language that has variables."""
_RESOURCE_TAG = "aws:resourcetag/"


class Named(enum.IntEnum):
    """How a resource policy's allow names a principal, which says what else may still refuse."""

    NOT = 0
    ACCOUNT = 1
    """Its account: the account's own policies have to allow as well."""
    ROLE = 2
    """Its role, or everybody: boundaries and session policies have to allow as well."""
    DIRECTLY = 3
    """Itself: nothing else has to allow."""


class Context(Lookup, Protocol):
    """What a statement is held against."""

    action: str
    """With its prefix, in lower case."""
    resource: str
    principal: Principal


class Principals:
    """A Principal or NotPrincipal element."""

    def __init__(self, element: Any) -> None:
        self.everyone = element == "*"
        self.accounts: set[str] = set()
        self.names: set[str] = set()
        """ARNs and unique ids."""
        self.services: set[str] = set()
        for kind, listed in element.items() if isinstance(element, Mapping) else ():
            for name in as_list(listed):
                self._add(kind.lower(), str(name))

    def _add(self, kind: str, name: str) -> None:
        if kind == "service":
            self.services.add(name)
        elif kind == "federated":
            self.names.add(name)
        elif kind == "aws" and name == "*":
            self.everyone = True
        elif kind == "aws" and len(name) == 12 and name.isdigit():
            self.accounts.add(name)
        elif kind == "aws" and name.startswith("arn:") and name.endswith(":root"):
            self.accounts.add(name.split(":")[4])
        elif kind == "aws":
            self.names.add(name)

    def naming(self, principal: Principal) -> Named:
        """How this element, read as Principal, names ``principal``."""
        kind, names = principal.kind, self.names
        if kind == "service":
            named = self.everyone or principal.name in self.services
            return Named.DIRECTLY if named else Named.NOT
        if kind == "anonymous":
            return Named.DIRECTLY if self.everyone else Named.NOT
        if kind == "root":
            return Named.DIRECTLY if self.everyone else self._account(principal)
        if principal.caller_arn in names or (kind == "user" and principal.id in names):
            return Named.DIRECTLY
        if kind == "user":
            return Named.DIRECTLY if self.everyone else self._account(principal)
        if self.everyone or principal.arn in names or principal.id.partition(":")[0] in names:
            return Named.ROLE
        return self._account(principal)

    def _account(self, principal: Principal) -> Named:
        return Named.ACCOUNT if principal.account in self.accounts else Named.NOT

    def excludes(self, principal: Principal) -> bool:
        """Whether this element, read as NotPrincipal, leaves ``principal`` out.

        A principal is left out only where each name it goes by is listed: a user with its account,
        a role session with its role and its account.
        """
        if self.everyone:
            return True
        if principal.kind == "service":
            return principal.name in self.services
        if principal.kind == "anonymous" or principal.account not in self.accounts:
            return False
        if principal.kind == "root":
            return True
        return {principal.arn, principal.caller_arn} <= self.names


class Statement:
    """One statement, ready to be held against a request."""

    __slots__ = (
        "_action",
        "_conditions",
        "_not_action",
        "_not_resource",
        "_resource",
        "_templates",
        "allow",
        "index",
        "keys",
        "not_principals",
        "principals",
        "sid",
    )

    def __init__(self, element: Mapping[str, Any], index: int, *, variables: bool) -> None:
        self.index = index
        self.sid = str(element.get("Sid", ""))
        self.allow = element.get("Effect") == "Allow"
        self._not_action = "NotAction" in element
        actions = as_list(element.get("NotAction" if self._not_action else "Action", ()))
        self._action: Matcher = any_of(str(action).lower() for action in actions)
        self._not_resource = "NotResource" in element
        # A trust policy names no resource: it is about the role that it hangs on.
        listed = element.get("NotResource", element.get("Resource", "*"))
        resources = [str(resource) for resource in as_list(listed)]
        fixed = [r for r in resources if not (variables and has_variables(r))]
        self._resource: Matcher = any_of(fixed)
        self._templates: tuple[Expand, ...] = tuple(
            template(r) for r in resources if r not in fixed
        )
        self.principals = Principals(element["Principal"]) if "Principal" in element else None
        self.not_principals = (
            Principals(element["NotPrincipal"]) if "NotPrincipal" in element else None
        )
        block = element.get("Condition") or {}
        self._conditions = tuple(_compiled_conditions(block, variables))
        self.keys = frozenset(_keys(resources, block, variables))

    def is_about(self, action: str) -> bool:
        """Whether it speaks of ``action``, in lower case."""
        return bool(self._action(action)) is not self._not_action

    def holds(self, context: Context) -> bool:
        """Whether resource and conditions fit; the action is checked apart, by ``is_about``."""
        matched = bool(self._resource(context.resource)) or any(
            (pattern := expand(context)) is not None and bool(matcher(pattern)(context.resource))
            for expand in self._templates
        )
        if matched is self._not_resource:
            return False
        return all(check(context) for check in self._conditions)

    def naming(self, principal: Principal) -> Named:
        """How a resource policy's statement names ``principal``; without an element it does not."""
        if self.principals is not None:
            return self.principals.naming(principal)
        if self.not_principals is not None:
            return Named.NOT if self.not_principals.excludes(principal) else Named.DIRECTLY
        return Named.NOT

    @property
    def is_identity(self) -> bool:
        """Whether it is one of an identity policy, which is about whoever holds it."""
        return self.principals is None and self.not_principals is None


class Document:
    """A policy document; ``compiled`` makes them."""

    def __init__(self, text: str) -> None:
        self.text = text
        content = json.loads(text)
        variables = content.get("Version") == CURRENT
        self.statements = tuple(
            Statement(element, index, variables=variables)
            for index, element in enumerate(as_list(content.get("Statement", ())))
        )
        self.keys = frozenset(key for s in self.statements for key in s.keys)
        """The context keys it mentions, in lower case."""
        self.asks_resource_tags = asks_resource_tags(self.keys)
        self._about: dict[str, tuple[tuple[Statement, ...], tuple[Statement, ...]]] = {}

    def about(self, action: str) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        """The statements that deny, and that allow, ``action`` (in lower case) at all."""
        found = self._about.get(action)
        if found is None:
            speaking = [s for s in self.statements if s.is_about(action)]
            found = (
                tuple(s for s in speaking if not s.allow),
                tuple(s for s in speaking if s.allow),
            )
            self._about[action] = found
        return found


@functools.lru_cache(maxsize=4096)
def compiled(text: str) -> Document:
    """The document of a text that has been ``validated`` before it was stored."""
    return Document(text)


def as_list(value: Any) -> list[Any]:
    return [*value] if isinstance(value, (list, tuple)) else [value]


def asks_resource_tags(keys: Iterable[str]) -> bool:
    return any(key.startswith(_RESOURCE_TAG) for key in keys)


def condition_values(value: Any) -> tuple[str, ...]:
    """The values of a condition as text: true and 5 may stand for "true" and "5"."""
    return tuple(
        str(item).lower() if isinstance(item, bool) else str(item) for item in as_list(value)
    )


def _compiled_conditions(
    block: Mapping[str, Mapping[str, Any]], variables: bool
) -> Iterable[conditions.Test]:
    for operator, keys in block.items():
        name = conditions.parsed_name(operator)
        for key, wanted in keys.items():
            values = condition_values(wanted)
            # An operator that nobody knows cannot be met; the validator refuses it beforehand.
            yield (
                conditions.test(name, key.lower(), values, variables=variables)
                if name
                else lambda _context: False
            )


def _keys(
    resources: Iterable[str], block: Mapping[str, Mapping[str, Any]], variables: bool
) -> Iterable[str]:
    if variables:
        for resource in resources:
            yield from keys_in(resource)
    for keys in block.values():
        for key, wanted in keys.items():
            yield key.lower()
            if variables:
                for value in condition_values(wanted):
                    yield from keys_in(value)
