"""CloudFormation: AWS::Logs::LogGroup and ::LogStream."""

from __future__ import annotations

from skyfold.base.errors import AwsError
from skyfold.kernel.provisioning import Properties, Provision, Provisioned, ResourceType


async def create_group(provision: Provision) -> Provisioned:
    want = provision.want
    name = want.get("LogGroupName") or provision.default_name(limit=512)
    request = {"logGroupName": name}
    for member, property_ in (("kmsKeyId", "KmsKeyId"), ("logGroupClass", "LogGroupClass")):
        if property_ in want:
            request[member] = want[property_]
    if tags := _tags(want):
        request["tags"] = tags
    try:
        await provision.api("logs").create_log_group(**request)
    except AwsError as exists:
        if exists.code != "ResourceAlreadyExistsException" or "LogGroupName" in want:
            raise
    return await _retained(provision, name)


async def update_group(provision: Provision) -> Provisioned:
    name, api = provision.physical_id, provision.api("logs")
    before, after = _tags(provision.had), _tags(provision.want)
    arn = f"arn:aws:logs:{provision.region}:{provision.account}:log-group:{name}"
    if gone := [key for key in before if key not in after]:
        await api.untag_resource(resourceArn=arn, tagKeys=gone)
    if after:
        await api.tag_resource(resourceArn=arn, tags=after)
    return await _retained(provision, name)


async def _retained(provision: Provision, name: str) -> Provisioned:
    days, api = provision.want.get("RetentionInDays"), provision.api("logs")
    if days is not None:
        await api.put_retention_policy(logGroupName=name, retentionInDays=int(days))
    elif "RetentionInDays" in provision.had:
        await api.delete_retention_policy(logGroupName=name)
    arn = f"arn:aws:logs:{provision.region}:{provision.account}:log-group:{name}:*"
    return Provisioned(physical_id=name, attributes={"Arn": arn})


async def delete_group(provision: Provision) -> None:
    await _unless_gone(provision.api("logs").delete_log_group(logGroupName=provision.physical_id))


async def create_stream(provision: Provision) -> Provisioned:
    want = provision.want
    name = want.get("LogStreamName") or provision.default_name(limit=512)
    try:
        await provision.api("logs").create_log_stream(
            logGroupName=want["LogGroupName"], logStreamName=name
        )
    except AwsError as exists:
        if exists.code != "ResourceAlreadyExistsException" or "LogStreamName" in want:
            raise
    return Provisioned(physical_id=name)


async def update_stream(provision: Provision) -> Provisioned:
    raise AwsError("A log stream is replaced, never updated.")


async def delete_stream(provision: Provision) -> None:
    await _unless_gone(
        provision.api("logs").delete_log_stream(
            logGroupName=provision.had["LogGroupName"], logStreamName=provision.physical_id
        )
    )


async def _unless_gone(deleting: object) -> None:
    try:
        await deleting  # type: ignore[misc]  # a call of the API
    except AwsError as gone:
        if gone.code != "ResourceNotFoundException":
            raise


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}


GROUP = ResourceType(
    name="AWS::Logs::LogGroup", create=create_group, update=update_group, delete=delete_group
)
STREAM = ResourceType(
    name="AWS::Logs::LogStream", create=create_stream, update=update_stream, delete=delete_stream
)
