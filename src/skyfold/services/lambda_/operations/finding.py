"""Finding the function that a request names."""

from __future__ import annotations

from typing import Any

from skyfold.kernel.call import Call
from skyfold.kernel.service import Request
from skyfold.services.lambda_.engine.names import FunctionName, function_name
from skyfold.services.lambda_.errors import (
    InvalidParameterValueException,
    PreconditionFailedException,
    ResourceNotFoundException,
    ValidationException,
)
from skyfold.services.lambda_.tables import FUNCTIONS, LATEST, Function
from skyfold.store.api import ReadTx


def named(call: Call, text: str, qualifier: str = "") -> FunctionName:
    """The function that ``text`` names, every part filled in."""
    found = function_name(text)
    if found is None:
        raise ValidationException(
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: "
            r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
            r"([a-zA-Z0-9-_\.]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
        )
    if qualifier and found.qualifier and qualifier != found.qualifier:
        raise InvalidParameterValueException(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionName(
        found.name,
        found.account or call.account,
        found.region or call.region,
        qualifier or found.qualifier,
    )


def arn_of(name: FunctionName) -> str:
    """The ARN, with its qualifier where one was given."""
    arn = f"arn:aws:lambda:{name.region}:{name.account}:function:{name.name}"
    return f"{arn}:{name.qualifier}" if name.qualifier else arn


def function_arn(call: Call, request: Request) -> str:
    """For ``on``: the ARN of the function of a request."""
    text = request["FunctionName"]
    if function_name(text) is None:
        return text
    return arn_of(named(call, text, request.get("Qualifier", "")))


async def function_of(tx: ReadTx, call: Call, request: Request) -> Function:
    """The function of a request. Raises ResourceNotFoundException in AWS's words."""
    name = named(call, request["FunctionName"], request.get("Qualifier", ""))
    version = name.qualifier or LATEST
    found = await FUNCTIONS.get(tx, name.account, name.region, name.name, version)
    if found is None:
        raise ResourceNotFoundException(f"Function not found: {arn_of(name)}")
    return found


def unless_current(function: Function, request: Request) -> None:
    """Refuse a RevisionId that is not the function's."""
    wanted: Any = request.get("RevisionId")
    if wanted is not None and wanted != function.revision:
        raise PreconditionFailedException(
            "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/"
            "GetAlias API to retrieve the latest RevisionId"
        )
