"""Runtimes that a package brings: the HTTP Runtime API from inside a sandbox."""

from __future__ import annotations

import pytest

from tests.compute.workshop import Workshop, error, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

BASH = r"""#!/bin/bash
set -u
API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
request() { # method path body extra-header -> whole response
  exec 9<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\/}"
  printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s' \
    "$1" "/2018-06-01/runtime$2" "${4:-}" "${#3}" "$3" >&9
  local length=0 line
  HEADERS=""
  while IFS= read -r line <&9; do
    line="${line%$'\r'}"
    [ -z "$line" ] && break
    HEADERS+="$line"$'\n'
    case "$line" in Content-Length:*) length="${line#Content-Length: }";; esac
  done
  IFS= read -r -N "$length" BODY <&9
  exec 9>&-
}
source "$(dirname "$0")/function.sh"
while true; do
  request GET /invocation/next ""
  ID=$(sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p' <<< "$HEADERS")
  handle "$BODY"
done
"""


def bash(workshop: Workshop, function: str, runtime: str = "provided.al2023", **more: object):  # type: ignore[no-untyped-def]  # a FunctionSpec
    return workshop.spec(
        workshop.files({"bootstrap": BASH, "function.sh": function}), runtime, **more
    )


async def test_a_bootstrap_in_bash_answers_again_and_again(workshop: Workshop) -> None:
    spec = bash(
        workshop,
        'echo loading\nhandle() { echo "got $1" >&2;'
        ' request POST "/invocation/$ID/response" "{\\"echo\\": $1}"; }\n',
    )

    first = await workshop.invoke(spec, {"a": 1})
    second = await workshop.invoke(spec, [2])

    assert value(first) == {"echo": {"a": 1}}
    assert value(second) == {"echo": [2]}
    assert first.init_ms is not None
    assert second.init_ms is None
    assert first.log == b'loading\ngot {"a": 1}\n'
    assert second.log == b"got [2]\n"
    assert 0 < first.max_memory_mb < 64


async def test_the_headers_of_an_invocation(workshop: Workshop) -> None:
    spec = bash(
        workshop,
        'handle() { local json; json=$(grep ^Lambda <<< "$HEADERS" | sed \'s/: /|/; s/"/~/g;'
        ' s/.*/"&",/\'); request POST "/invocation/$ID/response" "[$json null]"; }\n',
    )

    found = value(
        await workshop.invoke(spec, request_id="r-1", client_context='{"c":1}', trace_id="Root=1-a")
    )

    headers = dict(line.split("|", 1) for line in found if line)
    assert int(headers.pop("Lambda-Runtime-Deadline-Ms")) > 1_700_000_000_000
    assert headers == {
        "Lambda-Runtime-Aws-Request-Id": "r-1",
        "Lambda-Runtime-Invoked-Function-Arn": spec.arn,
        "Lambda-Runtime-Client-Context": "{~c~:1}",
        "Lambda-Runtime-Trace-Id": "Root=1-a",
    }


async def test_an_error_of_the_function(workshop: Workshop) -> None:
    spec = bash(
        workshop,
        'handle() { request POST "/invocation/$ID/error"'
        ' \'{"errorType": "Function.Bad", "errorMessage": "no"}\'; }\n',
    )

    outcome = await workshop.invoke(spec)

    assert outcome.kind == "handled"
    assert error(outcome) == {"errorType": "Function.Bad", "errorMessage": "no"}


async def test_an_error_type_may_come_in_a_header(workshop: Workshop) -> None:
    spec = bash(
        workshop,
        'handle() { request POST "/invocation/$ID/error" "" '
        "$'Lambda-Runtime-Function-Error-Type: Function.Odd\\r\\n'; }\n",
    )

    assert (await workshop.invoke(spec)).error_type == "Function.Odd"


async def test_an_init_error(workshop: Workshop) -> None:
    spec = bash(
        workshop,
        'request POST /init/error \'{"errorType": "Runtime.Broken", "errorMessage": "b"}\'; exit 1',
    )

    outcome = await workshop.invoke(spec)

    assert outcome.kind == "init_error"
    assert error(outcome)["errorType"] == "Runtime.Broken"


async def test_requests_that_make_no_sense_are_refused(workshop: Workshop) -> None:
    spec = bash(
        workshop,
        "handle() {\n"
        "  request POST /invocation/other/response 1; local one=\"${HEADERS%%$'\\n'*}\"\n"
        '  request GET /absent ""; local two="${HEADERS%%$\'\\n\'*}"\n'
        '  request POST /init/error "{}"; local three="${HEADERS%%$\'\\n\'*}"\n'
        '  request POST "/invocation/$ID/response" "[\\"$one\\", \\"$two\\", \\"$three\\"]"\n}\n',
    )

    assert value(await workshop.invoke(spec)) == [
        "HTTP/1.1 400 Bad Request",
        "HTTP/1.1 404 Not Found",
        "HTTP/1.1 403 Forbidden",
    ]


async def test_a_bootstrap_that_ends_is_a_crash(workshop: Workshop) -> None:
    in_init = await workshop.invoke(bash(workshop, "exit 3\n"), request_id="r-2")
    in_invoke = await workshop.invoke(bash(workshop, "handle() { exit 4; }\n"), request_id="r-3")

    assert in_init.kind == "init_error"
    assert error(in_init)["errorMessage"] == (
        "RequestId: r-2 Error: Runtime exited with error: exit status 3"
    )
    assert in_invoke.kind == "crash"
    assert error(in_invoke)["errorMessage"] == (
        "RequestId: r-3 Error: Runtime exited with error: exit status 4"
    )


async def test_a_timeout(workshop: Workshop) -> None:
    spec = bash(workshop, "handle() { sleep 60; }\n", timeout_s=0.3)

    assert (await workshop.invoke(spec)).error_type == "Sandbox.Timedout"


async def test_without_a_bootstrap_the_entry_point_is_invalid(workshop: Workshop) -> None:
    spec = workshop.spec(workshop.files({"data": ""}), "provided.al2023")

    outcome = await workshop.invoke(spec)

    assert outcome.error_type == "Runtime.InvalidEntrypoint"
    assert error(outcome)["errorMessage"] == (
        "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    )


async def test_a_bootstrap_that_may_not_be_executed_is_an_invalid_entry_point(
    workshop: Workshop,
) -> None:
    spec = workshop.spec(workshop.files({"bootstrap": "echo hello"}), "provided.al2023")

    outcome = await workshop.invoke(spec)

    assert outcome.error_type == "Runtime.InvalidEntrypoint"
    assert "permission denied" in error(outcome)["errorMessage"]


async def test_a_layer_may_bring_the_bootstrap(workshop: Workshop) -> None:
    layer = workshop.files({"bootstrap": BASH.replace('$(dirname "$0")', "/var/task")})
    code = workshop.files(
        {"function.sh": 'handle() { request POST "/invocation/$ID/response" "\\"$0\\""; }\n'}
    )

    outcome = await workshop.invoke(workshop.spec(code, "provided.al2", layers=(layer,)))

    assert value(outcome) == "/opt/bootstrap"
