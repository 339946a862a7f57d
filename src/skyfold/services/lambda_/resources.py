"""CloudFormation: AWS::Lambda::Function, ::Permission and ::EventSourceMapping."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType

CONFIGURATION = (
    "DeadLetterConfig",
    "Description",
    "Environment",
    "EphemeralStorage",
    "FileSystemConfigs",
    "Handler",
    "ImageConfig",
    "KmsKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "SnapStart",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)
"""Properties that UpdateFunctionConfiguration takes, by the names it takes them."""
DEFAULTS: Mapping[str, Any] = {
    "DeadLetterConfig": {},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "MemorySize": 128,
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
}
"""What a property goes back to when it leaves the template."""

INLINE_FILES = {"python": "index.py", "nodejs": "index.js"}


async def create_function(provision: Provision) -> Provisioned:
    want = provision.want
    name = want.get("FunctionName") or provision.default_name(limit=64)
    request = {"FunctionName": name, **_configuration(want), "Code": _code(want)}
    for member in ("Architectures", "CodeSigningConfigArn", "PackageType", "TenancyConfig"):
        if member in want:
            request[member] = want[member]
    api = provision.api("lambda_")
    try:
        await api.create_function(**request, Tags=_tags(want))
    except AwsError as exists:
        if exists.code != "ResourceConflictException" or "FunctionName" in want:
            raise
    return await _concurrency(provision, name)


async def update_function(provision: Provision) -> Provisioned:
    want, had, name = provision.want, provision.had, provision.physical_id
    api = provision.api("lambda_")
    restored = {
        member: DEFAULTS[member] for member in DEFAULTS if member in had and member not in want
    }
    if want.get("Code") != had.get("Code") or want.get("Architectures") != had.get("Architectures"):
        more = {"Architectures": want.get("Architectures", ["x86_64"])}
        await api.update_function_code(FunctionName=name, **_code(want), **more)
    await api.update_function_configuration(
        FunctionName=name, **{**restored, **_configuration(want)}
    )
    made = await _concurrency(provision, name)
    before, after = _tags(had), _tags(want)
    arn = made.attributes["Arn"]
    if gone := [key for key in before if key not in after]:
        await api.untag_resource(Resource=arn, TagKeys=gone)
    if after:
        await api.tag_resource(Resource=arn, Tags=after)
    return made


async def _concurrency(provision: Provision, name: str) -> Provisioned:
    api = provision.api("lambda_")
    wanted = provision.want.get("ReservedConcurrentExecutions")
    if wanted is not None:
        await api.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=int(wanted)
        )
    elif "ReservedConcurrentExecutions" in provision.had:
        await api.delete_function_concurrency(FunctionName=name)
    arn = f"arn:aws:lambda:{provision.region}:{provision.account}:function:{name}"
    return Provisioned(physical_id=name, attributes={"Arn": arn})


async def delete_function(provision: Provision) -> None:
    try:
        await provision.api("lambda_").delete_function(FunctionName=provision.physical_id)
    except AwsError as gone:
        if gone.code != "ResourceNotFoundException":
            raise


def _configuration(want: Properties) -> dict[str, Any]:
    names = {"KmsKeyArn": "KMSKeyArn"}
    found = {names.get(name, name): want[name] for name in CONFIGURATION if name in want}
    for number in ("MemorySize", "Timeout"):
        if number in found:
            found[number] = int(found[number])
    return found


def _code(want: Properties) -> dict[str, Any]:
    code = dict(want["Code"])
    if "ZipFile" not in code:
        return code
    runtime = str(want.get("Runtime", ""))
    kind = runtime.rstrip("0123456789.x")
    if kind not in INLINE_FILES:
        raise AwsError("ZipFile can only be used when Runtime is set to either of nodejs, python.")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            zipfile.ZipInfo(INLINE_FILES[kind], (1980, 1, 1, 0, 0, 0)), code["ZipFile"]
        )
    return {"ZipFile": packed.getvalue()}


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}


async def create_permission(provision: Provision) -> Provisioned:
    sid = provision.default_name(limit=100)
    taken = ("Action", "EventSourceToken", "FunctionUrlAuthType", "Principal", "PrincipalOrgID")
    names = (*taken, "SourceAccount", "SourceArn", "FunctionName")
    request = {name: provision.want[name] for name in names if name in provision.want}
    try:
        await provision.api("lambda_").add_permission(StatementId=sid, **request)
    except AwsError as exists:
        if exists.code != "ResourceConflictException":
            raise
    return Provisioned(physical_id=sid, attributes={"Id": sid})


async def update_permission(provision: Provision) -> Provisioned:
    raise AwsError("A permission is replaced, never updated.")


async def delete_permission(provision: Provision) -> None:
    try:
        await provision.api("lambda_").remove_permission(
            FunctionName=provision.had["FunctionName"], StatementId=provision.physical_id
        )
    except AwsError as gone:
        if gone.code != "ResourceNotFoundException":
            raise


MAPPING_NUMBERS = ("BatchSize", "MaximumBatchingWindowInSeconds")
MAPPING_MEMBERS = (
    *MAPPING_NUMBERS,
    "DestinationConfig",
    "FilterCriteria",
    "FunctionName",
    "FunctionResponseTypes",
    "ProvisionedPollerConfig",
    "ScalingConfig",
)


async def create_mapping(provision: Provision) -> Provisioned:
    want = provision.want
    request = _mapping(want)
    if "Enabled" in want:
        request["Enabled"] = str(want["Enabled"]).lower() == "true"
    api = provision.api("lambda_")
    try:
        made = await api.create_event_source_mapping(
            EventSourceArn=want["EventSourceArn"], Tags=_tags(want), **request
        )
        mapping = made["UUID"]
    except AwsError as exists:
        found = await api.list_event_source_mappings(
            EventSourceArn=want["EventSourceArn"], FunctionName=want["FunctionName"]
        )
        if exists.code != "ResourceConflictException" or not found["EventSourceMappings"]:
            raise
        mapping = found["EventSourceMappings"][0]["UUID"]
    return _provisioned_mapping(provision, mapping)


async def update_mapping(provision: Provision) -> Provisioned:
    request = _mapping(provision.want)
    request["Enabled"] = str(provision.want.get("Enabled", True)).lower() == "true"
    if "FunctionResponseTypes" not in provision.want:
        request["FunctionResponseTypes"] = []
    await provision.api("lambda_").update_event_source_mapping(
        UUID=provision.physical_id, **request
    )
    return _provisioned_mapping(provision, provision.physical_id)


def _mapping(want: Properties) -> dict[str, Any]:
    found = {name: want[name] for name in MAPPING_MEMBERS if name in want}
    for number in MAPPING_NUMBERS:
        if number in found:
            found[number] = int(found[number])
    return found


def _provisioned_mapping(provision: Provision, mapping: str) -> Provisioned:
    region, account = provision.region, provision.account
    arn = f"arn:aws:lambda:{region}:{account}:event-source-mapping:{mapping}"
    attributes = {"Id": mapping, "EventSourceMappingArn": arn}
    return Provisioned(physical_id=mapping, attributes=attributes)


async def delete_mapping(provision: Provision) -> None:
    try:
        await provision.api("lambda_").delete_event_source_mapping(UUID=provision.physical_id)
    except AwsError as gone:
        if gone.code != "ResourceNotFoundException":
            raise


FUNCTION = ResourceType(
    name="AWS::Lambda::Function",
    create=create_function,
    update=update_function,
    delete=delete_function,
)
PERMISSION = ResourceType(
    name="AWS::Lambda::Permission",
    create=create_permission,
    update=update_permission,
    delete=delete_permission,
)
MAPPING = ResourceType(
    name="AWS::Lambda::EventSourceMapping",
    create=create_mapping,
    update=update_mapping,
    delete=delete_mapping,
)
