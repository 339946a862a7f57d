"""The Python runtime: AWS's own client, imported once in the spawner, over our frames."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import types
from typing import Any

from . import bootstrap, frames
from .init import RELEASE_FD, RUNTIME_FD
from .lock import confine

_RESPONSE_BYTES_MAX = 6 * 1024**2 + 100


_BOTO_MODULES = (
    "boto3",
    "boto3.dynamodb.conditions",
    "boto3.s3.inject",
    "botocore.credentials",
    "botocore.httpsession",
    "botocore.retries.standard",
    "s3transfer.manager",
)
_BOTO_SERVICES = ("dynamodb", "events", "lambda", "s3", "secretsmanager", "sns", "sqs", "ssm")


def preload(execution_environment: str, more: str) -> None:
    """Import what every function needs, once, before the first fork; ``more``: boto3 as well."""
    # The client reads it when it is imported, to choose how it writes JSON.
    os.environ["AWS_EXECUTION_ENV"] = execution_environment
    native = types.ModuleType("runtime_client")
    native.initialize_client = lambda agent: None  # type: ignore[attr-defined]  # a stand-in
    sys.modules["runtime_client"] = native  # the native HTTP client, which is never called
    try:
        importlib.import_module("awslambdaric.bootstrap")
        importlib.import_module("awslambdaric.lambda_runtime_hooks_runner")
    except Exception:  # a version of it that this interpreter is too old or too new for
        for name in [name for name in sys.modules if name.partition(".")[0] == "awslambdaric"]:
            del sys.modules[name]
    if more:
        _preload_boto()
    import site

    site.setquit()
    site.sethelper()


def _preload_boto() -> None:
    """boto3, and the service models that are asked for most, parsed and shared by all cells."""
    for name in _BOTO_MODULES:
        importlib.import_module(name)
    loaders: Any = sys.modules["botocore.loaders"]
    _remember(loaders.JSONFileLoader, "load_file", 1)
    _remember(loaders.Loader, "list_available_services", 1)
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    session = sys.modules["boto3"].session.Session(**keys)
    for service in _BOTO_SERVICES:
        session.client(service)


def _remember(owner: Any, name: str, argument: int) -> None:
    """Make a method give the same answer for the same argument without doing it again."""
    method = getattr(owner, name)
    known: dict[Any, Any] = {}

    def remembered(*arguments: Any, **named: Any) -> Any:
        if named or len(arguments) != argument + 1:
            return method(*arguments, **named)
        key = arguments[argument]
        if key not in known:
            known[key] = method(*arguments)
        return known[key]

    setattr(owner, name, remembered)


def serve(order: dict[str, Any]) -> None:
    """Wait for the assignment, load the handler, answer invocations until the cell ends."""
    stream = frames.Stream(RUNTIME_FD)
    try:
        _, payload = stream.read()
        released = os.read(RELEASE_FD, 1)
    except EOFError:
        os._exit(0)
    if not released:
        os._exit(0)
    os.close(RELEASE_FD)
    assignment = json.loads(payload)
    confine(assignment)
    _become(assignment)
    theirs: Any = sys.modules.get("awslambdaric.bootstrap")
    read_early = ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")
    if theirs and any(map(os.environ.get, read_early)):
        importlib.reload(theirs)  # it read both when it was imported
    client = FrameClient(stream, limited=bool(assignment["data_bytes"]))
    run = theirs.run if theirs else bootstrap.run
    for name in [name for name in sys.modules if name.partition(".")[0] == "inside"]:
        del sys.modules[name]  # the name belongs to the function
    try:
        run(assignment["handler"], client)
    except EOFError:
        os._exit(0)


def _become(assignment: dict[str, Any]) -> None:
    if assignment["environment"] is not None:  # a fresh program has it already
        os.environ.clear()
        os.environ.update(assignment["environment"])
        time.tzset()
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
    task = assignment["task"]
    os.chdir(task)
    sys.path[:] = [
        task,
        *assignment["path"],
        *(p for p in sys.path if not p.endswith("/inside/..")),
    ]
    sys.argv[:] = ["/var/runtime/bootstrap.py"]
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()


class FrameClient:
    """What AWS's client is to its bootstrap, with our frames where it has HTTP."""

    def __init__(self, stream: frames.Stream, *, limited: bool) -> None:
        self._stream, self._limited = stream, limited
        self._ready = False
        marshalling: Any = sys.modules.get("awslambdaric.lambda_runtime_marshaller")
        if marshalling:
            self.marshaller = marshalling.LambdaMarshaller()

    def wait_next_invocation(self) -> types.SimpleNamespace:
        if not self._ready:
            self._ready = True
            self._stream.write(frames.READY, b"")
        _, payload = self._stream.read()
        header, _, event = payload.partition(b"\n")
        request = json.loads(header)
        return types.SimpleNamespace(
            invoke_id=request["id"],
            x_amzn_trace_id=request.get("trace"),
            invoked_function_arn=request["arn"],
            deadline_time_in_ms=request["deadline"],
            client_context=request.get("client"),
            cognito_identity=request.get("identity"),
            tenant_id=request.get("tenant"),
            content_type="application/json",
            event_body=event,
            invocation_id=None,
        )

    def post_invocation_result(
        self,
        invoke_id: str,
        result_data: Any,
        content_type: str = "application/json",
        invocation_id: Any = None,
    ) -> None:
        data = result_data if isinstance(result_data, bytes) else result_data.encode()
        if len(data) > _RESPONSE_BYTES_MAX:
            self._stream.write(frames.TOO_LARGE, b"%d\n%d" % (_peak_kib(), len(data)))
        else:
            head = b"%d %s\n" % (_peak_kib(), content_type.encode())
            self._stream.write(frames.RESULT, head + data)

    def post_invocation_error(
        self,
        invoke_id: str,
        error_response_data: str,
        xray_fault: str,
        invocation_id: Any = None,
    ) -> None:
        kind = frames.ERROR
        if self._limited and json.loads(error_response_data).get("errorType") == "MemoryError":
            kind = frames.OUT_OF_MEMORY
        self._stream.write(kind, b"%d\n" % _peak_kib() + error_response_data.encode())

    def post_init_error(self, error: Any, error_type_override: Any = None) -> None:
        self._stream.write(frames.INIT_ERROR, b"%d\n" % _peak_kib() + json.dumps(error).encode())


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
