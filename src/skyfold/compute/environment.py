"""The environment variables of a function: its own, and those that are reserved."""

from __future__ import annotations

from collections.abc import Mapping

from skyfold.compute.api import Credentials, FunctionSpec
from skyfold.compute.runtimes import family

RUNTIME_API = "127.0.0.1:9001"
LIBRARY_PATH = (
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
)
PROGRAM_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"

_READ_AT_START = ("NODE_", "PYTHON", "LD_", "GLIBC_TUNABLES", "MALLOC_", "UV_", "OPENSSL_CONF")
_SET_LATER = ("NODE_ENV",)
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"


def needs_fresh_program(environment: Mapping[str, str]) -> bool:
    """Whether a variable is read when a program starts, so that no waiting cell will do."""
    if environment.get(WRAPPER):
        return True
    return any(name.startswith(_READ_AT_START) and name not in _SET_LATER for name in environment)


def node_path(runtime: str) -> str:
    major = runtime.removeprefix("nodejs").removesuffix(".x")
    return (
        f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:"
        "/var/runtime/node_modules:/var/runtime:/var/task"
    )


def base(runtime: str) -> dict[str, str]:
    """What the runtime's program itself is started with, the same for every function."""
    variables = {
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": LIBRARY_PATH,
        "PATH": PROGRAM_PATH,
        "TZ": ":UTC",
    }
    if family(runtime) == "node":
        variables["NODE_PATH"] = node_path(runtime)
    return variables


def execution_environment(runtime: str) -> str:
    return "" if family(runtime) == "provided" else "AWS_Lambda_" + runtime


def assemble(
    spec: FunctionSpec, credentials: Credentials | None, *, endpoint: str, task: str
) -> dict[str, str]:
    """Everything the function sees. Its own variables may add to the defaults, never replace
    reserved ones; names that begin with an underscore are not its to set."""
    variables = base(spec.runtime)
    if endpoint:
        variables["AWS_ENDPOINT_URL"] = endpoint
    variables.update((k, v) for k, v in spec.environment.items() if not k.startswith("_"))
    variables.update(
        {
            "_HANDLER": spec.handler,
            "AWS_DEFAULT_REGION": spec.region,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
            "AWS_LAMBDA_INITIALIZATION_TYPE": spec.initialization,
            "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": spec.log_stream,
            "AWS_LAMBDA_RUNTIME_API": RUNTIME_API,
            "AWS_REGION": spec.region,
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LAMBDA_TASK_ROOT": task,
            "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
            "_AWS_XRAY_DAEMON_PORT": "2000",
        }
    )
    execution = execution_environment(spec.runtime)
    if execution:
        variables["AWS_EXECUTION_ENV"] = execution
    if spec.log_format == "JSON":
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        variables["AWS_LAMBDA_LOG_LEVEL"] = spec.log_level or "INFO"
    if credentials is not None:
        variables["AWS_ACCESS_KEY_ID"] = credentials.access_key
        variables["AWS_SECRET_ACCESS_KEY"] = credentials.secret_key
        variables["AWS_SESSION_TOKEN"] = credentials.token
    return variables
