"""Which capabilities a template needs its user to acknowledge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from skyfold.services.cloudformation.engine.template import ResourceBody
from skyfold.services.cloudformation.errors import InsufficientCapabilitiesException

_NAMED: Final[Mapping[str, str]] = {
    "AWS::IAM::AccessKey": "",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::GroupPolicy": "",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::RolePolicy": "",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserPolicy": "",
    "AWS::IAM::UserToGroupAddition": "",
}
"""Resources that need CAPABILITY_IAM; named by this property, they need CAPABILITY_NAMED_IAM."""
AUTO_EXPAND: Final = "CAPABILITY_AUTO_EXPAND"


def needed(resources: Iterable[ResourceBody]) -> tuple[list[str], str]:
    """The capabilities, and the reason that ValidateTemplate gives for them."""
    found = [r for r in resources if r.type in _NAMED]
    if not found:
        return [], ""
    named = [r for r in found if _NAMED[r.type] and _NAMED[r.type] in r.properties]
    capability = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
    listed = ", ".join(dict.fromkeys(r.type for r in found))
    return [capability], f"The following resource(s) require capabilities: [{listed}]"


def missing(wanted: Iterable[str], given: Iterable[str] | None) -> list[str]:
    """Of ``wanted`` what ``given`` does not cover."""
    have = set(given or ())
    if "CAPABILITY_NAMED_IAM" in have:
        have.add("CAPABILITY_IAM")
    return [capability for capability in wanted if capability not in have]


def refusal(lacking: Iterable[str]) -> InsufficientCapabilitiesException:
    return InsufficientCapabilitiesException(reason(lacking))


def reason(lacking: Iterable[str]) -> str:
    return f"Requires capabilities : [{', '.join(lacking)}]"
