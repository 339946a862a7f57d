"""A stand-in for AWS's Python client where it cannot be imported: same errors, same log lines."""

from __future__ import annotations

import decimal
import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

_INDENT = "\u00a0"


class Fault(Exception):
    """An error of the runtime, not of the handler: its type is one of AWS's names."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


class Marshaller:
    """JSON in and out, decimals as numbers."""

    def unmarshal_request(self, event: bytes) -> Any:
        try:
            return json.loads(event)
        except ValueError as error:
            message = f"Unable to unmarshal input: {error}"
            raise Fault("Runtime.UnmarshalError", message) from error

    def marshal_response(self, response: Any) -> tuple[Any, str]:
        if isinstance(response, bytes):
            return response, "application/unknown"
        try:
            return json.dumps(response, default=_number), "application/json"
        except Exception as error:
            message = f"Unable to marshal response: {error}"
            raise Fault("Runtime.MarshalError", message) from error


def _number(value: object) -> float:
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _load(handler: str) -> Callable[..., Any]:
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        message = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", message)
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Fault("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        message = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from error
    try:
        found: Callable[..., Any] = getattr(module, function_name)
    except AttributeError as error:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from error
    return found


def _describe(error: BaseException, request_id: str) -> dict[str, Any]:
    if isinstance(error, Fault):
        kind, message, trace = error.kind, error.message, error.trace or []
    else:
        frames = traceback.extract_tb(error.__traceback__)
        ours = 0
        while ours < len(frames) and frames[ours].filename == __file__:
            ours += 1
        kind, message = type(error).__name__, str(error)
        trace = traceback.format_list(frames[ours:] or frames)
    return {
        "errorMessage": message,
        "errorType": kind,
        "requestId": request_id,
        "stackTrace": trace,
    }


def _log_error(described: dict[str, Any]) -> None:
    lines = [f"[ERROR] {described['errorType']}: {described['errorMessage']}"]
    lines.append("Traceback (most recent call last):")
    for element in described["stackTrace"]:
        for line in element.splitlines():
            text = line.lstrip(" ")
            lines.append(_INDENT * (len(line) - len(text)) + text)
    print("\r".join(lines), flush=True)


class _Context:
    """What a handler gets as its second argument."""

    def __init__(self, request: SimpleNamespace) -> None:
        self.aws_request_id = request.invoke_id
        self.invoked_function_arn = request.invoked_function_arn
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.tenant_id = request.tenant_id
        self.client_context = None
        if request.client_context:
            context = json.loads(request.client_context)
            self.client_context = SimpleNamespace(
                custom=context.get("custom"), env=context.get("env"), client=context.get("client")
            )
        identity = json.loads(request.cognito_identity) if request.cognito_identity else {}
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )
        self._deadline_ms = request.deadline_time_in_ms

    def get_remaining_time_in_millis(self) -> int:
        return max(int(self._deadline_ms - time.time() * 1000), 0)

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))


class _RequestId(logging.Filter):
    current = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.current
        return True


def _set_up_logging() -> _RequestId:
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    request_id = _RequestId()
    handler.addFilter(request_id)
    logging.getLogger().addHandler(handler)
    return request_id


def run(handler: str, client: Any) -> None:
    """Load ``handler`` and answer invocations for ever; ``client`` has the methods of AWS's."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are real files
    request_id = _set_up_logging()
    marshaller = Marshaller()
    try:
        function = _load(handler)
    except Exception as error:
        described = _describe(error, "")
        _log_error(described)
        client.post_init_error(described)
        sys.exit(1)
    while True:
        request = client.wait_next_invocation()
        _RequestId.current = request_id.current = request.invoke_id
        os.environ.pop("_X_AMZN_TRACE_ID", None)
        if request.x_amzn_trace_id is not None:
            os.environ["_X_AMZN_TRACE_ID"] = request.x_amzn_trace_id
        try:
            event = marshaller.unmarshal_request(request.event_body)
            answer = function(event, _Context(request))
            data, content_type = marshaller.marshal_response(answer)
        except Exception as error:
            described = _describe(error, request.invoke_id)
            _log_error(described)
            client.post_invocation_error(request.invoke_id, json.dumps(described), "")
        else:
            client.post_invocation_result(request.invoke_id, data, content_type)
