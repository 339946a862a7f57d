"""CloudFormation: AWS::SSM::Parameter."""

from __future__ import annotations

from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import Provision, Provisioned, ResourceType

MEMBERS = ("AllowedPattern", "DataType", "Description", "Policies", "Tier", "Type", "Value")


async def create(provision: Provision) -> Provisioned:
    want = provision.want
    name = want.get("Name") or provision.default_name(limit=1011)
    tags = [{"Key": key, "Value": value} for key, value in (want.get("Tags") or {}).items()]
    try:
        await provision.api("ssm").put_parameter(Name=name, Tags=tags, **_members(want))
    except AwsError as exists:
        if exists.code != "ParameterAlreadyExists" or "Name" in want:
            raise
    return _provisioned(name, want)


async def update(provision: Provision) -> Provisioned:
    want, name, api = provision.want, provision.physical_id, provision.api("ssm")
    await api.put_parameter(Name=name, Overwrite=True, **_members(want))
    before, after = provision.had.get("Tags") or {}, want.get("Tags") or {}
    target = {"ResourceType": "Parameter", "ResourceId": name}
    if gone := [key for key in before if key not in after]:
        await api.remove_tags_from_resource(**target, TagKeys=gone)
    if after:
        tags = [{"Key": key, "Value": value} for key, value in after.items()]
        await api.add_tags_to_resource(**target, Tags=tags)
    return _provisioned(name, want)


async def delete(provision: Provision) -> None:
    try:
        await provision.api("ssm").delete_parameter(Name=provision.physical_id)
    except AwsError as gone:
        if gone.code != "ParameterNotFound":
            raise


def _members(want: Any) -> dict[str, Any]:
    return {member: want[member] for member in MEMBERS if member in want}


def _provisioned(name: str, want: Any) -> Provisioned:
    attributes = {"Type": want["Type"], "Value": want["Value"]}
    return Provisioned(physical_id=name, attributes=attributes)


PARAMETER = ResourceType(name="AWS::SSM::Parameter", create=create, update=update, delete=delete)
