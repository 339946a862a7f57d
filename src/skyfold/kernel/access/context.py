"""Condition keys of a request, found only when a policy asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skyfold.kernel.principal import Principal

if TYPE_CHECKING:
    from skyfold.kernel.call import Call

Values = tuple[str, ...]
_TYPES = {
    "root": "Account",
    "user": "User",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "anonymous": "Anonymous",
}
_PRINCIPAL_TAG, _RESOURCE_TAG = "aws:principaltag/", "aws:resourcetag/"


class RequestContext:
    """One request, as policies see it."""

    __slots__ = (
        "_folded",
        "_given",
        "action",
        "asked",
        "call",
        "principal",
        "principal_tags",
        "resource",
        "resource_tags",
    )

    def __init__(
        self,
        call: Call | None,
        principal: Principal,
        action: str,
        resource: str,
        given: Mapping[str, Any],
    ) -> None:
        """``given`` are the service's own condition keys and whatever overrides a global one."""
        self.call, self.principal = call, principal
        self.action, self.resource = action.lower(), resource
        self._given = given
        self._folded: dict[str, Any] | None = None
        self.principal_tags: Mapping[str, str] = {}
        self.resource_tags: Mapping[str, str] = {}
        self.asked = False
        """Whether anything but action and resource has been looked at: then no two requests are
        alike, and the decision is not remembered."""

    def values(self, key: str) -> Values | None:
        self.asked = True
        if self._given:
            if self._folded is None:
                self._folded = {name.lower(): value for name, value in self._given.items()}
            found = self._folded.get(key)
            if found is not None:
                return as_values(found)
        resolver = _GLOBAL.get(key)
        if resolver is not None:
            return resolver(self)
        if key.startswith(_PRINCIPAL_TAG):
            return _tag(self.principal_tags, key[len(_PRINCIPAL_TAG) :])
        if key.startswith(_RESOURCE_TAG):
            return _tag(self.resource_tags, key[len(_RESOURCE_TAG) :])
        return None


def as_values(value: Any) -> Values:
    """A context value as services give it: text, number, truth value, or a list of texts."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(str(item) for item in value)
    return (str(value),)


def account_of(resource: str, otherwise: str) -> str:
    """The account that an ARN names; S3's name none, and AWS's own policies name ``aws``."""
    if resource == "*":
        return otherwise
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else otherwise


def _tag(tags: Mapping[str, str], name: str) -> Values | None:
    """Tag keys are compared without regard to case; ``name`` is in lower case."""
    if name in tags:
        return (tags[name],)
    return next(((value,) for key, value in tags.items() if key.lower() == name), None)


def _one(value: str) -> Values | None:
    return (value,) if value else None


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _temporary(principal: Principal) -> bool:
    return principal.issued_at > 0


def _mfa_present(context: RequestContext) -> Values | None:
    """Long-term keys and services have no such key at all."""
    if not _temporary(context.principal):
        return None
    return ("true" if context.principal.mfa_at else "false",)


def _mfa_age(context: RequestContext) -> Values | None:
    if context.call is None or not context.principal.mfa_at:
        return None
    return (str((context.call.now - context.principal.mfa_at) // 1000),)


def _token_issued(context: RequestContext) -> Values | None:
    return (_iso(context.principal.issued_at),) if _temporary(context.principal) else None


def _principal_arn(context: RequestContext) -> Values | None:
    principal = context.principal
    return None if principal.kind in {"service", "anonymous"} else (principal.arn,)


def _principal_account(context: RequestContext) -> Values | None:
    principal = context.principal
    return None if principal.kind in {"service", "anonymous"} else (principal.account,)


def _principal_type(context: RequestContext) -> Values | None:
    found = _TYPES.get(context.principal.kind)
    return (found,) if found else None


def _username(context: RequestContext) -> Values | None:
    return (context.principal.name,) if context.principal.kind == "user" else None


def _is_service(context: RequestContext) -> Values | None:
    return ("true" if context.principal.kind == "service" else "false",)


def _service_name(context: RequestContext) -> Values | None:
    return (context.principal.name,) if context.principal.kind == "service" else None


def _source_account(context: RequestContext) -> Values | None:
    principal = context.principal
    return _one(principal.account) if principal.kind == "service" else None


def _of_call(read: Callable[[Call], Values | None]) -> Callable[[RequestContext], Values | None]:
    """Keys that only a request has, not a simulated one."""
    return lambda context: None if context.call is None else read(context.call)


def _resource_account(context: RequestContext) -> Values | None:
    otherwise = context.call.account if context.call else ""
    return _one(account_of(context.resource, otherwise))


_GLOBAL: Mapping[str, Callable[[RequestContext], Values | None]] = {
    "aws:principalarn": _principal_arn,
    "aws:principalaccount": _principal_account,
    "aws:principaltype": _principal_type,
    "aws:principalisawsservice": _is_service,
    "aws:principalservicename": _service_name,
    "aws:principalservicenameslist": _service_name,
    "aws:userid": lambda context: _one(context.principal.id),
    "aws:username": _username,
    "aws:sourceidentity": lambda context: _one(context.principal.source_identity),
    "aws:sourcearn": lambda context: _one(context.principal.source_arn),
    "aws:sourceaccount": _source_account,
    "aws:multifactorauthpresent": _mfa_present,
    "aws:multifactorauthage": _mfa_age,
    "aws:tokenissuetime": _token_issued,
    "aws:resourceaccount": _resource_account,
    "aws:viaawsservice": lambda context: ("false",),
    "aws:sourceip": _of_call(lambda call: _one(call.source_ip)),
    "aws:useragent": _of_call(lambda call: _one(call.user_agent)),
    "aws:referer": _of_call(lambda call: _one(call.headers.get("referer", ""))),
    "aws:securetransport": _of_call(lambda call: ("true" if call.secure else "false",)),
    "aws:requestedregion": _of_call(lambda call: _one(call.region)),
    "aws:currenttime": _of_call(lambda call: (_iso(call.now),)),
    "aws:epochtime": _of_call(lambda call: (str(call.now // 1000),)),
}
