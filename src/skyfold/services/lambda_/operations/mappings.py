"""Event source mappings: which queue is polled for which function, and how."""

from __future__ import annotations

from typing import Any

import msgspec

from skyfold.base.arn import parse_arn
from skyfold.base.errors import AwsError
from skyfold.kernel import pages, tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from skyfold.services.lambda_.operations.finding import function_of
from skyfold.services.lambda_.running import Running
from skyfold.services.lambda_.tables import MAPPINGS, EventSourceMapping
from skyfold.store.api import ReadTx, Tx

NOT_YET = (
    "FilterCriteria",
    "KMSKeyArn",
    "ProvisionedPollerConfig",
    "DestinationConfig",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
)


async def create_event_source_mapping(call: Call, request: Request) -> Any:
    _refuse_what_is_missing(request)
    source = request.get("EventSourceArn", "")
    arn = parse_arn(source)
    if arn is None or arn.service != "sqs":
        raise InvalidParameterValueException(
            f"Unrecognized event source: {source or 'none'}. Skyfold polls SQS queues only yet."
        )
    function = await call.read(function_of, call, request)
    mapping = EventSourceMapping(
        account=call.account,
        region=call.region,
        id=call.new_id(),
        source_arn=source,
        function_arn=function.arn,
        enabled=request.get("Enabled", True),
        batch_size=limits.SQS_BATCH_DEFAULT,
        window_s=0,
        modified_at=call.now,
    )
    mapping = _with(mapping, request)
    await _source_allows(call, request)
    await call.write(_create, mapping, request.get("Tags", {}))
    return described(mapping, "Creating")


async def _create(tx: Tx, mapping: EventSourceMapping, wanted: dict[str, str]) -> None:
    for other in await MAPPINGS.scan(tx, mapping.account, mapping.region, limit=100_000):
        same = (other.source_arn, other.function_arn) == (mapping.source_arn, mapping.function_arn)
        if same:
            raise ResourceConflictException(
                'An event source mapping with SQS arn (" '
                f'{mapping.source_arn} ") and function (" {mapping.function_arn} ") already '
                f"exists. Please update or delete the existing mapping with UUID {other.id}"
            )
    MAPPINGS.put(tx, mapping)
    tags.put_tags(tx, arn_of(mapping), wanted)


async def _source_allows(call: Call, request: Request) -> None:
    """The function's role must be able to read the queue, which must outlast the function."""
    function = await call.read(function_of, call, request)
    role = await call.platform.own(Running).role_principal(call, function)
    arn = parse_arn(request["EventSourceArn"])
    assert arn is not None
    there = call.acting_as(role, account=arn.account, region=arn.region)
    for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        try:
            await call.read(there.allowed, f"sqs:{action}", str(arn))
        except AwsError:
            raise InvalidParameterValueException(
                f"The function execution role does not have permissions to call {action} on SQS"
            ) from None
    url = f"{call.endpoint}/{arn.account}/{arn.resource}"
    try:
        found = await there.api("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["VisibilityTimeout"]
        )
    except AwsError as refused:
        raise InvalidParameterValueException(
            f"Error occurred while ReceiveMessage. SQS Error Code: {refused.code}. "
            f"SQS Error Message: {refused.text}"
        ) from refused
    visible_s = int(found["Attributes"]["VisibilityTimeout"])
    if visible_s < function.timeout_s:
        raise InvalidParameterValueException(
            f"Queue visibility timeout: {visible_s} seconds is less than Function timeout: "
            f"{function.timeout_s} seconds"
        )


async def update_event_source_mapping(call: Call, request: Request) -> Any:
    _refuse_what_is_missing(request)

    async def update(tx: Tx) -> EventSourceMapping:
        old = await _mapping_of(tx, call, request)
        function_arn = old.function_arn
        if "FunctionName" in request:
            function_arn = (await function_of(tx, call, request)).arn
        enabled = request.get("Enabled", old.enabled)
        new = msgspec.structs.replace(
            old, enabled=enabled, function_arn=function_arn, modified_at=call.now
        )
        new = _with(new, request)
        MAPPINGS.put(tx, new)
        return new

    return described(await call.write(update), "Updating")


async def delete_event_source_mapping(tx: Tx, call: Call, request: Request) -> Any:
    mapping = await _mapping_of(tx, call, request)
    MAPPINGS.delete(tx, mapping.account, mapping.region, mapping.id)
    tags.forget_tags(tx, arn_of(mapping))
    return described(mapping, "Deleting")


async def get_event_source_mapping(tx: ReadTx, call: Call, request: Request) -> Any:
    return described(await _mapping_of(tx, call, request))


async def list_event_source_mappings(tx: ReadTx, call: Call, request: Request) -> Any:
    wanted_function = ""
    if "FunctionName" in request:
        wanted_function = (await function_of(tx, call, request)).arn
    size = request.get("MaxItems", 100)
    above = None
    if "Marker" in request:
        try:
            above = pages.position("lambda.mappings", request["Marker"])
        except pages.BadToken:
            raise InvalidParameterValueException("Invalid marker.") from None
    found = [
        mapping
        for mapping in await MAPPINGS.scan(
            tx, call.account, call.region, limit=100_000, above=above
        )
        if request.get("EventSourceArn") in (None, mapping.source_arn)
        and wanted_function in ("", mapping.function_arn)
    ]
    more = len(found) > size
    marker = pages.token("lambda.mappings", found[size - 1].id) if more else None
    return reply(EventSourceMappings=[described(m) for m in found[:size]], NextMarker=marker)


async def _mapping_of(tx: ReadTx, call: Call, request: Request) -> EventSourceMapping:
    found = await MAPPINGS.get(tx, call.account, call.region, request["UUID"])
    if found is None:
        raise ResourceNotFoundException("The resource you requested does not exist.")
    return found


def _with(mapping: EventSourceMapping, request: Request) -> EventSourceMapping:
    """``mapping`` with the batch settings of a request, checked together."""
    batch = request.get("BatchSize", mapping.batch_size)
    window = request.get("MaximumBatchingWindowInSeconds", mapping.window_s)
    fifo = mapping.source_arn.endswith(".fifo")
    largest = limits.SQS_FIFO_BATCH_MAX if fifo else limits.SQS_BATCH_MAX
    if batch > largest:
        raise InvalidParameterValueException(
            f"Batch size {batch} is greater than the maximum of {largest} for this event source."
        )
    if batch > limits.SQS_BATCH_WITHOUT_WINDOW_MAX and not window:
        raise InvalidParameterValueException(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10"
        )
    if fifo and window:
        raise InvalidParameterValueException("Batching window is not supported for FIFO queues")
    responses = request.get("FunctionResponseTypes")
    partial = mapping.partial_failures
    if responses is not None:
        partial = "ReportBatchItemFailures" in responses
    scaling = request.get("ScalingConfig")
    most = mapping.concurrency_max if scaling is None else scaling.get("MaximumConcurrency")
    return msgspec.structs.replace(
        mapping,
        batch_size=batch,
        window_s=window,
        partial_failures=partial,
        concurrency_max=most,
    )


def _refuse_what_is_missing(request: Request) -> None:
    for member in NOT_YET:
        if request.get(member):
            raise InvalidParameterValueException(f"{member}: Skyfold does not have it yet.")


def arn_of(mapping: EventSourceMapping) -> str:
    region, account = mapping.region, mapping.account
    return f"arn:aws:lambda:{region}:{account}:event-source-mapping:{mapping.id}"


def described(mapping: EventSourceMapping, state: str = "") -> Any:
    scaling = None
    if mapping.concurrency_max is not None:
        scaling = {"MaximumConcurrency": mapping.concurrency_max}
    responses = ["ReportBatchItemFailures"] if mapping.partial_failures else []
    return reply(
        UUID=mapping.id,
        BatchSize=mapping.batch_size,
        MaximumBatchingWindowInSeconds=mapping.window_s,
        EventSourceArn=mapping.source_arn,
        EventSourceMappingArn=arn_of(mapping),
        FunctionArn=mapping.function_arn,
        FunctionResponseTypes=responses,
        LastModified=mapping.modified_at,
        ScalingConfig=scaling,
        State=state or ("Enabled" if mapping.enabled else "Disabled"),
        StateTransitionReason="USER_INITIATED",
    )
