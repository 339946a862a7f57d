"""Putting, getting, listing and deleting parameters, their versions and labels."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from skyfold.kernel import pages, tags
from skyfold.kernel.call import Call
from skyfold.kernel.service import Request, reply
from skyfold.services.ssm import limits
from skyfold.services.ssm.engine import sealing
from skyfold.services.ssm.engine.names import complaint, selected
from skyfold.services.ssm.errors import (
    HierarchyLevelLimitExceededException,
    InvalidAllowedPatternException,
    InvalidFilterKey,
    InvalidKeyId,
    InvalidNextToken,
    ParameterAlreadyExists,
    ParameterNotFound,
    ParameterPatternMismatchException,
    ParameterVersionLabelLimitExceeded,
    ParameterVersionNotFound,
    ValidationException,
)
from skyfold.services.ssm.tables import KEYS, LABELS, PARAMETERS, VERSIONS, Key, Label, Parameter
from skyfold.store.api import ReadTx, Tx


async def put_parameter(tx: Tx, call: Call, request: Request) -> Any:
    name = selected(request["Name"]).name
    if wrong := complaint(name, limits.LEVELS_MAX):
        levels = "maximum" in wrong
        raise HierarchyLevelLimitExceededException(wrong) if levels else ValidationException(wrong)
    old = await PARAMETERS.get(tx, call.account, call.region, name)
    if old is not None and not request.get("Overwrite"):
        raise ParameterAlreadyExists
    if old is not None and request.get("Tags"):
        raise ValidationException(
            "Invalid request: tags and overwrite can't be used together. To create a parameter "
            "with tags, please remove overwrite flag."
        )
    new = await _new_version(tx, call, request, name, old)
    PARAMETERS.put(tx, new)
    VERSIONS.put(tx, new)
    if new.version > limits.VERSIONS_MAX:
        await _forget_oldest(tx, new)
    tags.put_tags(tx, new.arn, {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])})
    return reply(Version=new.version, Tier=new.tier)


async def _new_version(
    tx: Tx, call: Call, request: Request, name: str, old: Parameter | None
) -> Parameter:
    if request.get("Policies"):
        raise ValidationException("Policies: Skyfold does not have parameter policies yet.")
    if request.get("DataType", "text") != "text":
        raise ValidationException("DataType: Skyfold has parameters of data type text only yet.")
    kind = request.get("Type") or (old.type if old else "")
    if not kind:
        raise ValidationException("A parameter type is required when you create a parameter.")
    value, pattern = request["Value"], request.get("AllowedPattern", old.pattern if old else "")
    _check_pattern(pattern, value)
    tier = _tier(request, value, old)
    parameter = Parameter(
        account=call.account,
        region=call.region,
        name=name,
        version=old.version + 1 if old else 1,
        type=kind,
        value=value.encode(),
        modified_at=call.now,
        modified_by=call.principal.caller_arn,
        tier=tier,
        description=request.get("Description", old.description if old else ""),
        pattern=pattern,
    )
    if kind != "SecureString":
        return parameter
    key_id = request.get("KeyId", "alias/aws/ssm")
    if key_id != "alias/aws/ssm":
        raise InvalidKeyId("KeyId: Skyfold has the key alias/aws/ssm only yet.")
    secret = await _secret(tx, call)
    nonce = call.platform.ids.bytes(sealing.NONCE_BYTES)
    sealed = sealing.seal(secret, nonce, value, parameter.arn)
    return msgspec.structs.replace(parameter, value=sealed, key_id=key_id)


def _check_pattern(pattern: str, value: str) -> None:
    if not pattern:
        return
    try:
        fits = re.search(pattern, value) is not None
    except re.error:
        raise InvalidAllowedPatternException(
            f"The regular expression {pattern} isn't valid."
        ) from None
    if not fits:
        raise ParameterPatternMismatchException(
            f"Parameter value, cannot be validated against allowedPattern: {pattern}"
        )


def _tier(request: Request, value: str, old: Parameter | None) -> str:
    tier: str = request.get("Tier") or (old.tier if old else "Standard")
    size = len(value.encode())
    if tier == "Intelligent-Tiering":
        tier = "Standard" if size <= limits.STANDARD_BYTES_MAX else "Advanced"
    if old is not None and old.tier == "Advanced" and tier == "Standard":
        raise ValidationException(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from "
            "the advanced-parameter tier to the standard-parameter tier."
        )
    most = limits.STANDARD_BYTES_MAX if tier == "Standard" else limits.ADVANCED_BYTES_MAX
    if size > most:
        raise ValidationException(
            f"{tier} tier parameters support a maximum parameter value of {most} characters. "
            + ("To create a larger parameter value, upgrade the parameter to use the advanced-"
               "parameter tier." if tier == "Standard" else "")
        )  # fmt: skip
    return tier


async def _forget_oldest(tx: Tx, new: Parameter) -> None:
    oldest = (await VERSIONS.scan(tx, new.account, new.region, new.name, limit=1))[0]
    VERSIONS.delete(tx, oldest.account, oldest.region, oldest.name, oldest.version)
    for label in await LABELS.scan(tx, new.account, new.region, new.name, limit=1000):
        if label.version == oldest.version:
            LABELS.delete(tx, new.account, new.region, new.name, label.label)


async def _secret(tx: Tx, call: Call) -> bytes:
    key = await KEYS.get(tx, call.account, call.region)
    if key is None:
        secret = call.platform.ids.bytes(sealing.KEY_BYTES)
        key = Key(account=call.account, region=call.region, secret=secret)
        KEYS.put(tx, key)
    return key.secret


async def get_parameter(tx: ReadTx, call: Call, request: Request) -> Any:
    found, selector = await _find(tx, call, request["Name"])
    shown = await _shown(tx, found, bool(request.get("WithDecryption")))
    if selector:
        shown["Selector"] = f":{selector}"
    return reply(Parameter=shown)


async def get_parameters(tx: ReadTx, call: Call, request: Request) -> Any:
    found, missing = [], []
    for name in request["Names"]:
        try:
            parameter, selector = await _find(tx, call, name)
        except (ParameterNotFound, ParameterVersionNotFound):
            missing.append(name)
            continue
        shown = await _shown(tx, parameter, bool(request.get("WithDecryption")))
        found.append({**shown, "Selector": f":{selector}"} if selector else shown)
    return reply(Parameters=found, InvalidParameters=missing)


async def _find(tx: ReadTx, call: Call, text: str) -> tuple[Parameter, str]:
    name, selector = selected(text)
    current = await PARAMETERS.get(tx, call.account, call.region, name)
    if current is None and text.startswith("arn:"):
        # The slash of an ARN is the name's own only where the name begins with one.
        name = name.removeprefix("/")
        current = await PARAMETERS.get(tx, call.account, call.region, name)
    if current is None:
        raise ParameterNotFound
    if not selector:
        return current, ""
    version = int(selector) if selector.isdecimal() else None
    if version is None:
        label = await LABELS.get(tx, call.account, call.region, name, selector)
        version = label.version if label else None
    found = None
    if version is not None:
        found = await VERSIONS.get(tx, call.account, call.region, name, version)
    if found is None:
        raise ParameterVersionNotFound(
            f"Systems Manager could not find version {selector} of {name}. "
            "Verify the version and try again."
        )
    return found, selector


async def _shown(tx: ReadTx, found: Parameter, decrypt: bool) -> dict[str, Any]:
    return {
        "Name": found.name,
        "Type": found.type,
        "Value": await _value(tx, found, decrypt),
        "Version": found.version,
        "LastModifiedDate": found.modified_at,
        "ARN": found.arn,
        "DataType": found.data_type,
    }


async def _value(tx: ReadTx, found: Parameter, decrypt: bool) -> str:
    if found.type != "SecureString":
        return found.value.decode()
    if not decrypt:
        return base64.b64encode(found.value).decode()
    key = await KEYS.get(tx, found.account, found.region)
    assert key is not None, "what was sealed has a key"
    return sealing.unseal(key.secret, found.value, found.arn)


async def get_parameters_by_path(tx: ReadTx, call: Call, request: Request) -> Any:
    path = request["Path"]
    if not path.startswith("/"):
        raise ValidationException("The parameter doesn't meet the parameter name requirements.")
    prefix = path.rstrip("/") + "/"
    filters = [_filter(each) for each in request.get("ParameterFilters", [])]
    recursive = bool(request.get("Recursive"))
    size = request.get("MaxResults", limits.PATH_PAGE_DEFAULT)
    above = _position("ssm.path", request) or (prefix,)
    found: list[Parameter] = []
    for row in await PARAMETERS.scan(
        tx, call.account, call.region, limit=100_000, above=above, below=(prefix + "\uffff",)
    ):
        deeper = "/" in row.name[len(prefix) :]
        chosen = row.name.startswith(prefix) and (recursive or not deeper)
        if chosen and all([await each(tx, row) for each in filters]):
            found.append(row)
        if len(found) > size:
            break
    more = len(found) > size
    decrypt = bool(request.get("WithDecryption"))
    return reply(
        Parameters=[await _shown(tx, row, decrypt) for row in found[:size]],
        NextToken=pages.token("ssm.path", found[size - 1].name) if more else None,
    )


async def describe_parameters(tx: ReadTx, call: Call, request: Request) -> Any:
    wanted = request.get("ParameterFilters", []) or [
        {"Key": each["Key"], "Values": each["Values"], "Option": "BeginsWith"}
        for each in request.get("Filters", [])
    ]
    filters = [_filter(each) for each in wanted]
    size = request.get("MaxResults", limits.PAGE_MAX)
    found: list[Parameter] = []
    for row in await PARAMETERS.scan(
        tx, call.account, call.region, limit=100_000, above=_position("ssm.describe", request)
    ):
        if all([await each(tx, row) for each in filters]):
            found.append(row)
            if len(found) > size:
                break
    more = len(found) > size
    return reply(
        Parameters=[_metadata(row) for row in found[:size]],
        NextToken=pages.token("ssm.describe", found[size - 1].name) if more else None,
    )


def _filter(wanted: Any) -> Any:
    """A test of a parameter: ``await test(tx, row)``."""
    key, option = wanted["Key"], wanted.get("Option", "Equals")
    values = wanted.get("Values", [])

    def fits(text: str) -> bool:
        if option == "BeginsWith":
            return any(text.startswith(value) for value in values)
        if option == "Contains":
            return any(value in text for value in values)
        return text in values

    async def test(tx: ReadTx, row: Parameter) -> bool:
        if key == "Name":
            return fits(row.name) or fits(row.name.removeprefix("/"))
        if key == "Type":
            return fits(row.type)
        if key == "KeyId":
            return fits(row.key_id)
        if key == "Tier":
            return fits(row.tier)
        if key == "DataType":
            return fits(row.data_type)
        if key == "Path":
            deep = option == "Recursive"
            return any(_under(row.name, value, deep) for value in values)
        if key == "Label":
            rows = await LABELS.scan(tx, row.account, row.region, row.name, limit=1000)
            return any(fits(label.label) for label in rows if label.version == row.version)
        found = (await tags.tags_of(tx, row.arn)).get(key.removeprefix("tag:"))
        return found is not None and (not values or fits(found))

    known = ("Name", "Type", "KeyId", "Tier", "DataType", "Path", "Label")
    if key not in known and not key.startswith("tag:"):
        raise InvalidFilterKey(
            f"The following filter key is not valid: {key}. Valid filter keys include: [Path, "
            "Name, Type, KeyId, Tier, DataType, Label, tag:]."
        )
    return test


def _under(name: str, path: str, deep: bool) -> bool:
    prefix = path.rstrip("/") + "/"
    return name.startswith(prefix) and (deep or "/" not in name[len(prefix) :])


def _metadata(row: Parameter) -> Any:
    return reply(
        Name=row.name,
        ARN=row.arn,
        Type=row.type,
        KeyId=row.key_id or None,
        LastModifiedDate=row.modified_at,
        LastModifiedUser=row.modified_by,
        Description=row.description or None,
        AllowedPattern=row.pattern or None,
        Version=row.version,
        Tier=row.tier,
        Policies=[],
        DataType=row.data_type,
    )


def _position(purpose: str, request: Request) -> tuple[Any, ...] | None:
    if not request.get("NextToken"):
        return None
    try:
        return pages.position(purpose, request["NextToken"])
    except pages.BadToken:
        raise InvalidNextToken from None


async def get_parameter_history(tx: ReadTx, call: Call, request: Request) -> Any:
    current, _ = await _find(tx, call, selected(request["Name"]).name)
    size = request.get("MaxResults", limits.PAGE_MAX)
    where = (current.account, current.region, current.name)
    rows = await VERSIONS.scan(tx, *where, limit=size + 1, above=_position("ssm.history", request))
    labels = await LABELS.scan(tx, *where, limit=10_000)
    shown = []
    for row in rows[:size]:
        value = await _value(tx, row, bool(request.get("WithDecryption")))
        mine = [label.label for label in labels if label.version == row.version]
        shown.append({**_metadata(row), "Value": value, "Labels": mine})
    more = len(rows) > size
    token = pages.token("ssm.history", rows[size - 1].version) if more else None
    return reply(Parameters=shown, NextToken=token)


async def label_parameter_version(tx: Tx, call: Call, request: Request) -> Any:
    current, _ = await _find(tx, call, selected(request["Name"]).name)
    version = request.get("ParameterVersion", current.version)
    where = (current.account, current.region, current.name)
    if await VERSIONS.get(tx, *where, version) is None:
        raise ParameterVersionNotFound(
            f"Systems Manager could not find version {version} of {current.name}. "
            "Verify the version and try again."
        )
    bad = [text for text in request["Labels"] if not _label_allowed(text)]
    good = [text for text in request["Labels"] if _label_allowed(text)]
    rows = await LABELS.scan(tx, *where, limit=10_000)
    kept = {row.label for row in rows if row.version == version} | set(good)
    if len(kept) > limits.LABELS_MAX:
        raise ParameterVersionLabelLimitExceeded(
            f"A parameter version can have maximum {limits.LABELS_MAX} labels."
            "Move one or more labels to another version and try again."
        )
    for text in good:  # a label belongs to one version: it moves
        account, region, name = where
        LABELS.put(
            tx, Label(account=account, region=region, name=name, label=text, version=version)
        )
    return reply(InvalidLabels=bad, ParameterVersion=version)


def _label_allowed(text: str) -> bool:
    reserved = text.lower().startswith(("aws", "ssm"))
    shaped = re.fullmatch(r"[a-zA-Z_.\-][a-zA-Z0-9_.\-]{0,99}", text) is not None
    return shaped and not reserved


async def unlabel_parameter_version(tx: Tx, call: Call, request: Request) -> Any:
    current, _ = await _find(tx, call, selected(request["Name"]).name)
    where = (current.account, current.region, current.name)
    rows = await LABELS.scan(tx, *where, limit=10_000)
    there = {row.label for row in rows if row.version == request["ParameterVersion"]}
    removed = [text for text in request["Labels"] if text in there]
    for text in removed:
        LABELS.delete(tx, *where, text)
    invalid = [text for text in request["Labels"] if text not in there]
    return reply(RemovedLabels=removed, InvalidLabels=invalid)


async def delete_parameter(tx: Tx, call: Call, request: Request) -> None:
    current, _ = await _find(tx, call, selected(request["Name"]).name)
    _forget(tx, current)


async def delete_parameters(tx: Tx, call: Call, request: Request) -> Any:
    deleted, missing = [], []
    for text in request["Names"]:
        found = await PARAMETERS.get(tx, call.account, call.region, selected(text).name)
        if found is None:
            missing.append(text)
        else:
            _forget(tx, found)
            deleted.append(text)
    return reply(DeletedParameters=deleted, InvalidParameters=missing)


def _forget(tx: Tx, parameter: Parameter) -> None:
    where = (parameter.account, parameter.region, parameter.name)
    PARAMETERS.delete(tx, *where)
    VERSIONS.delete_all(tx, *where)
    LABELS.delete_all(tx, *where)
    tags.forget_tags(tx, parameter.arn)
