"""Functions: creating, changing, describing, deleting them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from skyfold.base.errors import AwsError
from skyfold.compute.api import RuntimeMissing
from skyfold.kernel import pages, tags
from skyfold.kernel.call import Call
from skyfold.kernel.code import BadArchive
from skyfold.kernel.service import Request, reply
from skyfold.services.lambda_ import limits
from skyfold.services.lambda_.errors import (
    InvalidParameterValueException,
    RequestTooLargeException,
    ResourceConflictException,
)
from skyfold.services.lambda_.operations.finding import function_of, named, unless_current
from skyfold.services.lambda_.running import Running
from skyfold.services.lambda_.tables import FUNCTIONS, LATEST, PERMISSIONS, Function
from skyfold.store.api import ReadTx, Tx
from skyfold.store.blobs import Blob

NOT_YET = {
    "Layers": "layers",
    "FileSystemConfigs": "file systems",
    "ImageConfig": "container images",
    "CodeSigningConfigArn": "code signing",
    "KMSKeyArn": "customer managed keys",
    "TenancyConfig": "tenant isolation",
    "DurableConfig": "durable functions",
    "CapacityProviderConfig": "capacity providers",
}


async def create_function(call: Call, request: Request) -> Any:
    _refuse_what_is_missing(request)
    name = named(call, request["FunctionName"])
    if name.qualifier:
        raise InvalidParameterValueException("A qualifier cannot be given to a new function.")
    runtime, handler = request.get("Runtime"), request.get("Handler")
    if not runtime or (not handler and not runtime.startswith("provided")):
        raise InvalidParameterValueException(
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages."
        )
    await _prepared(call, runtime)
    await _assumable(call, request["Role"], name.name)
    blob, digest = await stored_code(call, request["Code"])
    function = Function(
        account=name.account,
        region=name.region,
        name=name.name,
        version=LATEST,
        revision=call.new_id(),
        runtime=runtime,
        handler=handler or "",
        role=request["Role"],
        code_blob=blob.id,
        code_sha256=digest,
        code_size=blob.size,
        modified_at=call.now,
    )
    function = msgspec.structs.replace(function, **settings(request, function))
    await call.write(_create, call, function, request.get("Tags", {}))
    return described(function)


async def _create(tx: Tx, call: Call, function: Function, wanted: Mapping[str, str]) -> None:
    if await FUNCTIONS.get(tx, function.account, function.region, function.name, LATEST):
        raise ResourceConflictException(f"Function already exist: {function.name}")
    call.platform.blobs.hold(tx, function.code_blob, function.arn)
    FUNCTIONS.put(tx, function)
    tags.put_tags(tx, function.arn, wanted)


async def update_function_code(call: Call, request: Request) -> Any:
    if request.get("Publish") or request.get("ImageUri"):
        raise InvalidParameterValueException("Skyfold cannot publish versions or run images yet.")
    old = await call.read(function_of, call, request)
    unless_current(old, request)
    blob, digest = await stored_code(call, request)
    architecture = request.get("Architectures", [old.architecture])[0]
    changes = {
        "code_blob": blob.id,
        "code_sha256": digest,
        "code_size": blob.size,
        "architecture": architecture,
    }
    if request.get("DryRun"):
        return described(msgspec.structs.replace(old, **changes))
    return await _changed(call, old, changes)


async def update_function_configuration(call: Call, request: Request) -> Any:
    _refuse_what_is_missing(request)
    old = await call.read(function_of, call, request)
    unless_current(old, request)
    if "Runtime" in request:
        await _prepared(call, request["Runtime"])
    if "Role" in request:
        await _assumable(call, request["Role"], old.name)
    changes = settings(request, old)
    for member, field in (("Runtime", "runtime"), ("Handler", "handler"), ("Role", "role")):
        if member in request:
            changes[field] = request[member]
    return await _changed(call, old, changes)


async def _changed(call: Call, old: Function, changes: Mapping[str, Any]) -> Any:
    async def change(tx: Tx) -> Function:
        current = await FUNCTIONS.get(tx, old.account, old.region, old.name, LATEST)
        if current is None or current.revision != old.revision:
            raise ResourceConflictException(
                "The operation cannot be performed at this time. An update is in progress for "
                f"resource: {old.arn}"
            )
        stamps = {"revision": call.new_id(), "modified_at": call.now}
        new = msgspec.structs.replace(current, **{**changes, **stamps})
        if new.code_blob != current.code_blob:
            call.platform.blobs.release(tx, current.code_blob, current.arn)
            call.platform.blobs.hold(tx, new.code_blob, new.arn)
        FUNCTIONS.put(tx, new)
        return new

    new = await call.write(change)
    await call.platform.own(Running).retire(old)
    return described(new)


async def delete_function(call: Call, request: Request) -> Any:
    async def delete(tx: Tx) -> Function:
        function = await function_of(tx, call, request)
        FUNCTIONS.delete(tx, function.account, function.region, function.name, LATEST)
        PERMISSIONS.delete_all(tx, function.arn)
        tags.forget_tags(tx, function.arn)
        call.platform.blobs.release(tx, function.code_blob, function.arn)
        return function

    function = await call.write(delete)
    await call.platform.own(Running).retire(function)
    await call.platform.code.forget(function.code_blob)
    return reply(StatusCode=204)


async def get_function(tx: ReadTx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    concurrency = None
    if function.reserved_concurrency is not None:
        concurrency = {"ReservedConcurrentExecutions": function.reserved_concurrency}
    location = f"{call.endpoint}/_aws/lambda/code/{function.code_blob}"
    return reply(
        Configuration=described(function),
        Code={"RepositoryType": "S3", "Location": location},
        Tags=await tags.tags_of(tx, function.arn) or None,
        Concurrency=concurrency,
    )


async def get_function_configuration(tx: ReadTx, call: Call, request: Request) -> Any:
    return described(await function_of(tx, call, request))


async def list_functions(tx: ReadTx, call: Call, request: Request) -> Any:
    size = request.get("MaxItems", 50)
    above = None
    if "Marker" in request:
        try:
            above = pages.position("lambda.functions", request["Marker"])
        except pages.BadToken:
            raise InvalidParameterValueException("Invalid marker.") from None
    found = await FUNCTIONS.scan(tx, call.account, call.region, limit=size + 1, above=above)
    page = found[:size]
    more = len(found) > size
    marker = pages.token("lambda.functions", page[-1].name, LATEST) if more else None
    return reply(Functions=[described(f) for f in page], NextMarker=marker)


async def get_account_settings(tx: ReadTx, call: Call, request: Request) -> Any:
    found = await FUNCTIONS.scan(tx, call.account, call.region, limit=100_000)
    reserved = sum(f.reserved_concurrency or 0 for f in found)
    return reply(
        AccountLimit={
            "TotalCodeSize": limits.CODE_STORAGE_BYTES_MAX,
            "CodeSizeUnzipped": limits.UNZIPPED_BYTES_MAX,
            "CodeSizeZipped": limits.ZIPPED_DIRECT_BYTES_MAX,
            "ConcurrentExecutions": limits.CONCURRENCY_MAX,
            "UnreservedConcurrentExecutions": limits.CONCURRENCY_MAX - reserved,
        },
        AccountUsage={
            "TotalCodeSize": sum(f.code_size for f in found),
            "FunctionCount": len(found),
        },
    )


async def put_function_concurrency(tx: Tx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    wanted = request["ReservedConcurrentExecutions"]
    others = await FUNCTIONS.scan(tx, call.account, call.region, limit=100_000)
    taken = sum(f.reserved_concurrency or 0 for f in others if f.name != function.name)
    if limits.CONCURRENCY_MAX - taken - wanted < limits.UNRESERVED_CONCURRENCY_MIN:
        raise InvalidParameterValueException(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of "
            f"[{limits.UNRESERVED_CONCURRENCY_MIN}]."
        )
    FUNCTIONS.put(tx, msgspec.structs.replace(function, reserved_concurrency=wanted))
    return reply(ReservedConcurrentExecutions=wanted)


async def get_function_concurrency(tx: ReadTx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    return reply(ReservedConcurrentExecutions=function.reserved_concurrency)


async def delete_function_concurrency(tx: Tx, call: Call, request: Request) -> Any:
    function = await function_of(tx, call, request)
    FUNCTIONS.put(tx, msgspec.structs.replace(function, reserved_concurrency=None))


def settings(request: Request, function: Function) -> dict[str, Any]:
    """The fields of ``function`` that the members of a request change."""
    changes: dict[str, Any] = {}
    for member, field in (
        ("Description", "description"),
        ("Timeout", "timeout_s"),
        ("MemorySize", "memory_mb"),
    ):
        if member in request:
            changes[field] = request[member]
    if "EphemeralStorage" in request:
        changes["ephemeral_mb"] = request["EphemeralStorage"]["Size"]
    if "Architectures" in request:
        changes["architecture"] = request["Architectures"][0]
    if "TracingConfig" in request:
        changes["tracing"] = request["TracingConfig"].get("Mode", "PassThrough")
    if "Environment" in request:
        changes["environment"] = _environment(request["Environment"].get("Variables", {}))
    if "DeadLetterConfig" in request:
        changes["dead_letter_arn"] = _dead_letters(request["DeadLetterConfig"])
    if "LoggingConfig" in request:
        changes.update(_logging(request["LoggingConfig"], function))
    return changes


def _environment(variables: Mapping[str, str]) -> Mapping[str, str]:
    reserved = [name for name in variables if name in limits.RESERVED_VARIABLES]
    if reserved:
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    size = len(msgspec.json.encode(variables))
    if size > limits.ENVIRONMENT_BYTES_MAX:
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment "
            f"variables you have provided exceeded the 4KB limit. String measured: "
            f"{msgspec.json.encode(variables).decode()}"
        )
    return dict(variables)


def _dead_letters(config: Mapping[str, Any]) -> str:
    arn: str = config.get("TargetArn", "")
    if arn and arn.split(":")[2:3] not in (["sqs"], ["sns"]):
        raise InvalidParameterValueException(
            "The provided dead letter target is neither a queue nor a topic."
        )
    return arn


def _logging(config: Mapping[str, Any], function: Function) -> dict[str, Any]:
    form = config.get("LogFormat", function.log_format)
    levels = ("ApplicationLogLevel", "SystemLogLevel")
    if form == "Text" and any(level in config for level in levels):
        raise InvalidParameterValueException(
            "To use ApplicationLogLevel and SystemLogLevel, you must set LogFormat to JSON."
        )
    if config.get("SystemLogLevel", "INFO") != "INFO":
        raise InvalidParameterValueException("Skyfold writes system logs at level INFO only yet.")
    return {
        "log_format": form,
        "log_group": config.get("LogGroup", function.log_group),
        "log_level": config.get("ApplicationLogLevel", "INFO") if form == "JSON" else "",
        "system_log_level": "INFO" if form == "JSON" else "",
    }


def _refuse_what_is_missing(request: Request) -> None:
    """No setting is kept that nothing obeys."""
    for member, what in NOT_YET.items():
        if request.get(member):
            raise InvalidParameterValueException(f"{member}: Skyfold does not have {what} yet.")
    if request.get("PackageType", "Zip") != "Zip":
        raise InvalidParameterValueException("Skyfold runs packages of type Zip only yet.")
    if request.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        raise InvalidParameterValueException("SnapStart: Skyfold does not have it yet.")
    if any(request.get("VpcConfig", {}).values()):
        raise InvalidParameterValueException("VpcConfig: Skyfold has no virtual networks.")
    if request.get("Publish"):
        raise InvalidParameterValueException("Publish: Skyfold does not have versions yet.")


async def _prepared(call: Call, runtime: str) -> None:
    """The runtime stands ready; or the request is refused, saying what to install."""
    compute = await call.platform.sandboxes()
    try:
        await compute.prepare(runtime)
    except RuntimeMissing as missing:
        raise InvalidParameterValueException(str(missing)) from missing


async def _assumable(call: Call, role: str, name: str) -> None:
    async def attempt(tx: Tx) -> None:
        await call.platform.access.check_assumable(tx, call, role, "lambda.amazonaws.com")

    try:
        await call.write(attempt)
    except AwsError:
        raise InvalidParameterValueException(
            "The role defined for the function cannot be assumed by Lambda."
        ) from None


async def stored_code(call: Call, code: Mapping[str, Any]) -> tuple[Blob, str]:
    """The zip file of a request as a blob, and its CodeSha256. Raises for what is no zip file."""
    if code.get("ZipFile") is not None:
        zipped: bytes = code["ZipFile"]
        if len(zipped) > limits.ZIPPED_DIRECT_BYTES_MAX:
            raise RequestTooLargeException(
                f"Request must be smaller than {limits.ZIPPED_DIRECT_BYTES_MAX} bytes for the "
                "CreateFunction operation"
            )
    elif code.get("S3Bucket") and code.get("S3Key"):
        zipped = await _from_s3(call, code)
    else:
        raise InvalidParameterValueException("Please provide a source for function code.")
    digest = base64.b64encode(hashlib.sha256(zipped).digest()).decode()
    blob = await call.platform.blobs.write(zipped)
    try:
        await call.platform.code.folder(blob.id)
    except BadArchive as bad:
        raise InvalidParameterValueException(str(bad)) from bad
    return blob, digest


async def _from_s3(call: Call, code: Mapping[str, Any]) -> bytes:
    where = {"Bucket": code["S3Bucket"], "Key": code["S3Key"]}
    if code.get("S3ObjectVersion"):
        where["VersionId"] = code["S3ObjectVersion"]
    try:
        body = (await call.api("s3").get_object(**where))["Body"]
        if isinstance(body, bytes):
            return body
        return b"".join([piece async for piece in body])
    except AwsError as refused:
        raise InvalidParameterValueException(
            "Error occurred while GetObject. S3 Error Code: "
            f"{refused.code}. S3 Error Message: {refused.text}"
        ) from refused


def described(function: Function) -> Any:
    """A FunctionConfiguration."""
    moment = _timestamp(function.modified_at)
    environment = None
    if function.environment is not None:
        environment = {"Variables": dict(function.environment)}
    logging = reply(
        LogFormat=function.log_format,
        LogGroup=function.logs_to,
        ApplicationLogLevel=function.log_level or None,
        SystemLogLevel=function.system_log_level or None,
    )
    dead_letters = {"TargetArn": function.dead_letter_arn} if function.dead_letter_arn else None
    return reply(
        FunctionName=function.name,
        FunctionArn=function.arn,
        Runtime=function.runtime,
        Role=function.role,
        Handler=function.handler,
        CodeSize=function.code_size,
        Description=function.description,
        Timeout=function.timeout_s,
        MemorySize=function.memory_mb,
        LastModified=moment,
        CodeSha256=function.code_sha256,
        Version=function.version,
        DeadLetterConfig=dead_letters,
        Environment=environment,
        TracingConfig={"Mode": function.tracing},
        RevisionId=function.revision,
        State="Active",
        LastUpdateStatus="Successful",
        PackageType="Zip",
        Architectures=[function.architecture],
        EphemeralStorage={"Size": function.ephemeral_mb},
        SnapStart={"ApplyOn": "None", "OptimizationStatus": "Off"},
        LoggingConfig=logging,
    )


def _timestamp(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}+0000"
