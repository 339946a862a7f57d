"""Python functions: what goes in, what comes out, what goes wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time

import pytest

from skyfold.compute.api import RESPONSE_BYTES_MAX, Credentials
from tests.compute.workshop import Workshop, error, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = "def handler(event, context):\n    return event\n"


async def test_the_event_goes_in_and_the_answer_comes_out(workshop: Workshop) -> None:
    spec = workshop.python(ECHO)

    outcome = await workshop.invoke(spec, {"text": "grüße", "number": 1.5, "none": None})

    assert value(outcome) == {"text": "grüße", "number": 1.5, "none": None}
    assert outcome.kind == "ok"
    assert outcome.error_type is None
    assert outcome.init_ms is not None
    assert outcome.duration_ms > 0
    assert 5 < outcome.max_memory_mb < 128


async def test_a_warm_sandbox_keeps_its_memory_and_its_tmp(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os\ncount = 0\ndef handler(event, context):\n"
        "    global count\n    count += 1\n    open(f'/tmp/{count}', 'w').close()\n"
        "    return [count, sorted(os.listdir('/tmp'))]\n"
    )

    first = await workshop.invoke(spec)
    second = await workshop.invoke(spec)

    assert value(first) == [1, ["1"]]
    assert value(second) == [2, ["1", "2"]]
    assert second.init_ms is None


async def test_two_invocations_at_once_get_a_sandbox_each(workshop: Workshop) -> None:
    spec = workshop.python(
        "import time\ncount = 0\ndef handler(event, context):\n"
        "    global count\n    count += 1\n    time.sleep(0.05)\n    return count\n"
    )

    outcomes = await asyncio.gather(*(workshop.invoke(spec) for _ in range(4)))

    assert [value(outcome) for outcome in outcomes] == [1, 1, 1, 1]


async def test_the_context_says_who_runs_and_for_how_long(workshop: Workshop) -> None:
    spec = workshop.python(
        "def handler(event, context):\n"
        "    names = ('aws_request_id', 'function_name', 'function_version', 'log_group_name',\n"
        "             'log_stream_name', 'memory_limit_in_mb', 'invoked_function_arn')\n"
        "    return [{n: getattr(context, n) for n in names},\n"
        "            context.get_remaining_time_in_millis(), context.client_context.custom,\n"
        "            context.identity.cognito_identity_id]\n",
        memory_mb=256,
    )

    outcome = await workshop.invoke(
        spec,
        request_id="r-1",
        invoked_arn=spec.arn + ":live",
        client_context='{"custom": {"a": "b"}}',
        cognito_identity='{"cognitoIdentityId": "id-1", "cognitoIdentityPoolId": "pool"}',
    )

    context, remaining_ms, custom, identity = value(outcome)
    assert context == {
        "aws_request_id": "r-1",
        "function_name": "fn",
        "function_version": "$LATEST",
        "log_group_name": "/aws/lambda/fn",
        "log_stream_name": "2026/01/01/[$LATEST]abc",
        "memory_limit_in_mb": "256",
        "invoked_function_arn": spec.arn + ":live",
    }
    assert 9_000 < remaining_ms <= 10_000
    assert custom == {"a": "b"}
    assert identity == "id-1"


async def test_a_deadline_of_the_caller_is_the_deadline(workshop: Workshop) -> None:
    spec = workshop.python(
        "def handler(event, context):\n    return context.get_remaining_time_in_millis()\n"
    )

    outcome = await workshop.invoke(spec, deadline_ms=time.time_ns() // 1_000_000 + 4_000)

    assert 3_000 < value(outcome) <= 4_000


async def test_an_exception_is_a_handled_error_with_its_trace(workshop: Workshop) -> None:
    spec = workshop.python("def handler(event, context):\n    raise KeyError('missing')\n")

    outcome = await workshop.invoke(spec, request_id="r-2")

    assert outcome.kind == "handled"
    assert outcome.error_type == "KeyError"
    payload = error(outcome)
    assert payload["errorMessage"] == "'missing'"
    assert payload["errorType"] == "KeyError"
    assert payload["requestId"] == "r-2"
    assert payload["stackTrace"][0].startswith('  File "/var/task/index.py", line 2, in handler')
    assert b"[ERROR] KeyError: 'missing'\nTraceback (most recent call last):\n" in outcome.log


async def test_after_an_exception_the_sandbox_stays_warm(workshop: Workshop) -> None:
    spec = workshop.python("def handler(event, context):\n    raise ValueError(event)\n")

    await workshop.invoke(spec, 1)
    again = await workshop.invoke(spec, 2)

    assert again.init_ms is None
    assert error(again)["errorMessage"] == "2"


@pytest.mark.parametrize(
    ("files", "handler", "kind", "message"),
    [
        ({"index.py": ECHO}, "other.handler", "Runtime.ImportModuleError", "No module named"),
        ({"index.py": ECHO}, "index.absent", "Runtime.HandlerNotFound", "missing on module"),
        ({"index.py": ECHO}, "nodot", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"index.py": "def (:\n"}, "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error"),
        ({"index.py": "1 / 0\n"}, "index.handler", "ZeroDivisionError", "division by zero"),
    ],
)
async def test_code_that_cannot_be_loaded_is_an_init_error(
    workshop: Workshop, files: dict[str, str], handler: str, kind: str, message: str
) -> None:
    spec = workshop.spec(workshop.files(files), "python3.11", handler=handler)

    outcome = await workshop.invoke(spec)

    assert outcome.kind == "init_error"
    assert outcome.error_type == kind
    assert error(outcome)["errorType"] == kind
    assert message in error(outcome)["errorMessage"]
    assert b"Phase: init\tStatus: error\tError Type: " + kind.encode() in outcome.log
    assert b"Phase: invoke\tStatus: error" in outcome.log


async def test_an_init_that_fails_once_is_tried_again(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os\n"
        "if int(os.environ['AWS_ACCESS_KEY_ID']) == 1:\n    raise OSError('not yet')\n"
        "def handler(event, context):\n    return os.environ['AWS_ACCESS_KEY_ID']\n"
    )
    asked = 0

    async def credentials() -> Credentials:
        nonlocal asked
        asked += 1
        return Credentials(str(asked), "secret", "token", 10**15)

    outcome = await workshop.invoke(dataclasses.replace(spec, credentials=credentials))

    assert value(outcome) == "2"
    assert b"Phase: init\tStatus: error\tError Type: OSError" in outcome.log


async def test_a_timeout_ends_the_sandbox_in_the_words_of_aws(workshop: Workshop) -> None:
    spec = workshop.python(
        "import time\ncount = 0\ndef handler(event, context):\n"
        "    global count\n    count += 1\n    print('before')\n    time.sleep(event)\n"
        "    return count\n",
        timeout_s=0.3,
    )

    outcome = await workshop.invoke(spec, 60, request_id="r-3")
    after = await workshop.invoke(spec, 0)

    assert outcome.kind == "timeout"
    assert outcome.error_type == "Sandbox.Timedout"
    assert error(outcome) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r-3 Error: Task timed out after 0.30 seconds",
    }
    assert 300 <= outcome.duration_ms < 2_000
    assert outcome.log == b"before\n"
    assert after.init_ms is not None
    assert value(after) == 1


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(1)", "Runtime exited with error: exit status 1"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        (
            "import ctypes; ctypes.string_at(0)",
            "Runtime exited with error: signal: segmentation fault",
        ),
    ],
)
async def test_a_crash_says_how_the_runtime_ended(
    workshop: Workshop, code: str, ending: str
) -> None:
    spec = workshop.python(f"import os, sys\ndef handler(event, context):\n    {code}\n")

    outcome = await workshop.invoke(spec, request_id="r-4")

    assert outcome.kind == "crash"
    assert error(outcome) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: r-4 Error: {ending}",
    }
    assert outcome.log.endswith(f"RequestId: r-4 Error: {ending}\nRuntime.ExitError\n".encode())


async def test_too_much_memory_is_a_kill(workshop: Workshop) -> None:
    spec = workshop.python(
        "def handler(event, context):\n"
        "    hold = []\n    while True:\n        hold.append(bytearray(8 << 20))\n",
        memory_mb=128,
        ephemeral_mb=512,
    )

    outcome = await workshop.invoke(spec, request_id="r-5")

    assert outcome.kind == "out_of_memory"
    assert error(outcome) == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": "RequestId: r-5 Error: Runtime exited with error: signal: killed",
    }
    assert outcome.max_memory_mb >= 128


async def test_tmp_may_hold_more_than_the_memory(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os\ndef handler(event, context):\n"
        "    with open('/tmp/big', 'wb') as file:\n"
        "        for _ in range(300): file.write(bytes(1 << 20))\n"
        "    return os.path.getsize('/tmp/big')\n",
        memory_mb=128,
    )

    outcome = await workshop.invoke(spec)

    assert value(outcome) == 300 << 20


async def test_tmp_is_as_large_as_was_asked_for(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os\ndef handler(event, context):\n"
        "    it = os.statvfs('/tmp')\n    return it.f_blocks * it.f_frsize >> 20\n",
        ephemeral_mb=1024,
    )

    assert value(await workshop.invoke(spec)) == 1024


async def test_an_answer_over_six_megabytes_is_an_error_and_the_sandbox_lives(
    workshop: Workshop,
) -> None:
    spec = workshop.python("def handler(event, context):\n    return 'x' * event\n")
    size = RESPONSE_BYTES_MAX - 2

    fits = await workshop.invoke(spec, size)
    too_large = await workshop.invoke(spec, size + 1)
    after = await workshop.invoke(spec, 1)

    assert len(fits.payload) == RESPONSE_BYTES_MAX
    assert too_large.kind == "unhandled"
    assert error(too_large) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size ({RESPONSE_BYTES_MAX + 1} bytes) exceeded maximum "
        f"allowed payload size ({RESPONSE_BYTES_MAX} bytes).",
    }
    assert after.init_ms is None


async def test_a_large_event_arrives_whole(workshop: Workshop) -> None:
    spec = workshop.python("def handler(event, context):\n    return len(event)\n")

    assert value(await workshop.invoke(spec, "y" * (6 << 20))) == 6 << 20


async def test_an_answer_that_json_cannot_say_is_a_marshal_error(workshop: Workshop) -> None:
    spec = workshop.python("def handler(event, context):\n    return {1, 2}\n")

    outcome = await workshop.invoke(spec)

    assert outcome.error_type == "Runtime.MarshalError"
    assert "not JSON serializable" in error(outcome)["errorMessage"]


async def test_the_log_has_what_was_printed_in_order_without_waiting(workshop: Workshop) -> None:
    spec = workshop.python(
        "import logging, os, subprocess, sys\nprint('loading')\n"
        "def handler(event, context):\n"
        "    print('one')\n    logging.warning('two\\nlines')\n"
        "    print('three', file=sys.stderr)\n    os.write(1, b'four\\n')\n"
        "    subprocess.run(['/bin/echo', 'five'])\n    sys.stdout.write('six')\n"
    )
    events: list[bytes] = []
    phases: list[str] = []

    outcome = await workshop.invoke(
        spec, request_id="r-6", on_log=events.append, on_phase=phases.append
    )

    assert events[0] == b"loading"
    assert events[1] == b"one"
    assert events[2].startswith(b"[WARNING]\t")
    assert events[2].endswith(b"\tr-6\ttwo\nlines")
    assert events[3:] == [b"three", b"four", b"five", b"six"]
    assert outcome.log == b"\n".join(events) + b"\n"
    assert phases == ["init", "invoke"]


async def test_json_logs_have_level_time_and_request(workshop: Workshop) -> None:
    spec = workshop.python(
        "import logging\nlogger = logging.getLogger()\n"
        "def handler(event, context):\n    logger.info('hello')\n    logger.debug('no')\n",
        log_format="JSON",
        log_level="INFO",
    )
    events: list[bytes] = []

    await workshop.invoke(spec, request_id="r-7", on_log=events.append)

    assert len(events) == 1
    line = json.loads(events[0])
    assert (line["level"], line["message"], line["requestId"]) == ("INFO", "hello", "r-7")


async def test_a_large_log_is_read_while_the_function_runs(workshop: Workshop) -> None:
    spec = workshop.python(
        "def handler(event, context):\n    for n in range(20000): print('line', n)\n"
    )
    events: list[bytes] = []

    await workshop.invoke(spec, on_log=events.append)

    assert events == [b"line %d" % n for n in range(20000)]


async def test_the_environment_has_the_customers_variables_and_the_reserved_ones(
    workshop: Workshop,
) -> None:
    spec = workshop.python(
        "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        environment={"STAGE": "dev", "AWS_REGION": "mars-1", "_HIDDEN": "x", "TZ": "Asia/Tokyo"},
        region="eu-west-1",
    )

    found = value(await workshop.invoke(spec, trace_id="Root=1-2-3;Parent=4;Sampled=1"))

    assert found["STAGE"] == "dev"
    assert found["TZ"] == "Asia/Tokyo"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert "_HIDDEN" not in found
    assert found["_HANDLER"] == "index.handler"
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "fn"
    assert found["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert found["LAMBDA_TASK_ROOT"] == "/var/task"
    assert found["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert found["_X_AMZN_TRACE_ID"] == "Root=1-2-3;Parent=4;Sampled=1"
    assert not any("SKYFOLD" in name or name in ("HOME", "USER") for name in found)


async def test_boto3_is_there_unless_the_package_brings_its_own(workshop: Workshop) -> None:
    source = "import boto3\ndef handler(event, context):\n    return boto3.__file__\n"
    ours = workshop.python(source)
    theirs = workshop.spec(
        workshop.files({"index.py": source, "boto3/__init__.py": ""}), "python3.11"
    )

    assert value(await workshop.invoke(ours)) == "/var/runtime/boto3/__init__.py"
    assert value(await workshop.invoke(theirs)) == "/var/task/boto3/__init__.py"


async def test_layers_are_merged_at_opt_and_the_last_one_wins(workshop: Workshop) -> None:
    one = workshop.files({"python/a.py": "name = 'one'\n", "python/b.py": "name = 'one'\n"})
    two = workshop.files({"python/b.py": "name = 'two'\n", "data/file": "text"})
    code = workshop.files(
        {
            "index.py": "import a, b, os\ndef handler(event, context):\n"
            "    return [a.name, b.name, a.__file__, sorted(os.listdir('/opt'))]\n"
        }
    )

    merged = await workshop.invoke(workshop.spec(code, "python3.11", layers=(one, two)))

    assert value(merged) == ["one", "two", "/opt/python/a.py", ["data", "python"]]


async def test_variables_that_python_reads_at_its_start_are_obeyed(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os, sys\ndef handler(event, context):\n"
        "    return [sys.flags.dev_mode, '/var/task/lib' in sys.path, os.environ['PYTHONPATH']]\n",
        environment={"PYTHONDEVMODE": "1", "PYTHONPATH": "/var/task/lib"},
    )

    outcome = await workshop.invoke(spec, request_id="r-8")

    assert value(outcome) == [True, True, "/var/task/lib"]


async def test_a_wrapper_script_starts_the_runtime(workshop: Workshop) -> None:
    code = workshop.files(
        {
            "wrap": '#!/bin/bash\nexport ADDED=yes\necho "wrapped $#"\nexec "$@"\n',
            "index.py": "import os\ndef handler(event, context):\n    return os.environ['ADDED']\n",
        }
    )
    spec = workshop.spec(
        code, "python3.11", environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}
    )

    outcome = await workshop.invoke(spec)

    assert value(outcome) == "yes"
    assert outcome.log.startswith(b"wrapped 2\n")


@pytest.mark.parametrize("minor", [9, 10, 11, 12, 13, 14])
async def test_every_python_that_is_installed_runs_its_own_version(
    workshop: Workshop, minor: int
) -> None:
    runtime = f"python3.{minor}"
    if runtime not in workshop.supervisor.available_runtimes():
        pytest.skip(f"Python 3.{minor} is not installed")
    spec = workshop.python(
        "import json, sys, ssl, sqlite3\ndef handler(event, context):\n"
        "    return [*sys.version_info[:2], sys.argv]\n",
        runtime,
    )

    outcome = await workshop.invoke(spec)

    assert value(outcome)[:2] == [3, minor]
    assert b"SKYFOLD NOTE" not in outcome.log


async def test_a_retired_python_runs_on_the_nearest_later_one_and_says_so(
    workshop: Workshop,
) -> None:
    spec = workshop.python("def handler(event, context):\n    return 1\n", "python3.8")

    outcome = await workshop.invoke(spec)

    assert value(outcome) == 1
    assert outcome.log.startswith(b"SKYFOLD NOTE: the runtime python3.8 runs on Python 3.")


async def test_modules_of_ours_do_not_stand_in_the_way_of_the_functions(
    workshop: Workshop,
) -> None:
    code = workshop.files(
        {
            "inside.py": "mine = True\n",
            "index.py": "import inside\ndef handler(event, context):\n    return inside.mine\n",
        }
    )

    assert value(await workshop.invoke(workshop.spec(code, "python3.11"))) is True
