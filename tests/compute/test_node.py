"""Node functions: modules, callbacks, promises, streams, and what goes wrong."""

from __future__ import annotations

import asyncio
import json

import pytest

from skyfold.compute.api import RESPONSE_BYTES_MAX, FunctionSpec
from tests.compute.workshop import Workshop, error, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNTIMES = ["nodejs20.x", "nodejs22.x", "nodejs24.x"]


def node(
    workshop: Workshop,
    source: str,
    runtime: str = "nodejs20.x",
    file: str = "index.js",
    **settings: object,
) -> FunctionSpec:
    if runtime not in workshop.supervisor.available_runtimes():
        pytest.skip(f"no Node.js for {runtime} is installed")
    return workshop.spec(workshop.files({file: source}), runtime, **settings)


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_an_async_handler_answers(workshop: Workshop, runtime: str) -> None:
    spec = node(workshop, "exports.handler = async (event) => ({ got: event });\n", runtime)

    first = await workshop.invoke(spec, {"a": "ü"})
    second = await workshop.invoke(spec, None)

    assert value(first) == {"got": {"a": "ü"}}
    assert value(second) == {"got": None}
    assert first.init_ms is not None
    assert second.init_ms is None
    assert 20 < first.max_memory_mb < 128


@pytest.mark.parametrize(
    ("file", "source", "more"),
    [
        ("index.mjs", "export const handler = async () => import.meta.url;\n", {}),
        ("index.js", "export const handler = async () => import.meta.url;\n", {"type": "module"}),
        ("index.cjs", "exports.handler = async () => __filename;\n", {"type": "module"}),
        ("index.js", "module.exports = { handler: () => Promise.resolve(__filename) };\n", {}),
    ],
)
async def test_every_module_format_is_loaded(
    workshop: Workshop, file: str, source: str, more: dict[str, str]
) -> None:
    code = workshop.files({file: source, "package.json": json.dumps(more)})

    outcome = await workshop.invoke(workshop.spec(code, "nodejs20.x"))

    assert value(outcome).removeprefix("file://") == f"/var/task/{file}"


async def test_a_handler_may_lie_in_a_folder_and_in_an_object(workshop: Workshop) -> None:
    code = workshop.files({"src/app.js": "exports.api = { get: async () => 'found' };\n"})

    outcome = await workshop.invoke(workshop.spec(code, "nodejs20.x", handler="src/app.api.get"))

    assert value(outcome) == "found"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("callback(null, 'called')", "called"),
        ("setTimeout(() => callback(null, 'later'), 5)", "later"),
        ("callback(null, 'early'); setTimeout(() => { global.late = 1 }, 20)", "early"),
        ("context.succeed('succeeded')", "succeeded"),
        ("context.done(null, 'done')", "done"),
        ("setTimeout(() => {}, 5)", None),
    ],
)
async def test_a_callback_answers(workshop: Workshop, body: str, expected: str | None) -> None:
    spec = node(workshop, f"exports.handler = (event, context, callback) => {{ {body}; }};\n")

    assert value(await workshop.invoke(spec)) == expected
    assert value(await workshop.invoke(spec)) == expected


async def test_a_callback_waits_for_the_event_loop_unless_told_not_to(workshop: Workshop) -> None:
    source = (
        "exports.handler = (event, context, callback) => {\n"
        "  context.callbackWaitsForEmptyEventLoop = event.wait;\n"
        "  setTimeout(() => console.log('timer'), 80);\n"
        "  callback(null, 'ok');\n};\n"
    )
    spec = node(workshop, source)

    await workshop.invoke(spec, {"wait": True})
    waited = await workshop.invoke(spec, {"wait": True})
    at_once = await workshop.invoke(spec, {"wait": False})

    assert b"timer" in waited.log
    assert waited.duration_ms >= 75
    assert b"timer" not in at_once.log
    assert at_once.duration_ms < 75


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("exports.handler = async () => { throw new TypeError('no') };", "TypeError", "no"),
        ("exports.handler = (e, c, callback) => callback(new Error('no'));", "Error", "no"),
        ("exports.handler = (e, c, callback) => callback('text');", "string", "text"),
        ("exports.handler = () => { throw new RangeError('no') };", "RangeError", "no"),
        ("exports.handler = async () => { throw 'text' };", "string", "text"),
        ("exports.handler = (e, context) => context.fail(new Error('no'));", "Error", "no"),
    ],
)
async def test_an_error_has_type_message_and_trace(
    workshop: Workshop, source: str, kind: str, message: str
) -> None:
    outcome = await workshop.invoke(node(workshop, source))

    assert outcome.kind == "handled"
    assert outcome.error_type == kind
    payload = error(outcome)
    assert set(payload) == {"errorType", "errorMessage", "trace"}
    assert (payload["errorType"], payload["errorMessage"]) == (kind, message)
    if kind != "string":
        assert payload["trace"][0] == f"{kind}: {message}"
        assert "/var/task/index.js" in payload["trace"][1]


async def test_an_error_is_logged_as_aws_does(workshop: Workshop) -> None:
    spec = node(workshop, "exports.handler = async () => { throw new TypeError('no') };\n")

    outcome = await workshop.invoke(spec, request_id="r-1")

    line = outcome.log.decode().splitlines()[-1]
    _, request_id, level, text, body = line.split("\t")
    assert (request_id, level, text) == ("r-1", "ERROR", "Invoke Error ")
    logged = json.loads(body)
    assert (logged["errorType"], logged["errorMessage"]) == ("TypeError", "no")
    assert logged["stack"][0] == "TypeError: no"


@pytest.mark.parametrize(
    ("files", "handler", "kind", "message"),
    [
        ({}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'index'"),
        (
            {"index.js": "require('absent')"},
            "index.handler",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'absent'",
        ),
        (
            {"index.js": "exports.other = 1"},
            "index.handler",
            "Runtime.HandlerNotFound",
            "index.handler is undefined or not exported",
        ),
        (
            {"index.js": "exports.handler = 1"},
            "index.handler",
            "Runtime.HandlerNotFound",
            "index.handler is not a function",
        ),
        ({"index.js": ""}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"index.js": "exports.handler = {{"}, "index.handler", "Runtime.UserCodeSyntaxError", ""),
        ({"index.js": "throw new RangeError('x')"}, "index.handler", "RangeError", "x"),
    ],
)
async def test_code_that_cannot_be_loaded_is_an_init_error(
    workshop: Workshop, files: dict[str, str], handler: str, kind: str, message: str
) -> None:
    spec = workshop.spec(workshop.files({"data": "", **files}), "nodejs20.x", handler=handler)

    outcome = await workshop.invoke(spec)

    assert outcome.kind == "init_error"
    assert outcome.error_type == kind
    payload = error(outcome)
    assert payload["errorType"] == kind
    assert payload["errorMessage"].startswith(message)
    assert payload["trace"][0].startswith(kind)
    assert b"\tundefined\tERROR\tUncaught Exception \t{" in outcome.log


async def test_a_timeout_and_what_was_logged_before_it(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = () => { console.log('before'); return new Promise(() => {"
        " setInterval(() => {}, 1000) }); };\n",
        timeout_s=0.3,
    )

    outcome = await workshop.invoke(spec, request_id="r-2")

    assert outcome.kind == "timeout"
    assert error(outcome)["errorMessage"] == (
        "RequestId: r-2 Error: Task timed out after 0.30 seconds"
    )
    assert b"\tr-2\tINFO\tbefore\n" in outcome.log


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("process.exit(7)", "Runtime exited with error: exit status 7"),
        ("process.exit(0)", "Runtime exited without providing a reason"),
        ("process.kill(process.pid, 'SIGKILL')", "Runtime exited with error: signal: killed"),
    ],
)
async def test_a_crash_says_how_the_runtime_ended(
    workshop: Workshop, body: str, ending: str
) -> None:
    source = f"exports.handler = async () => {{ {body}; await new Promise(() => {{}}); }};\n"

    outcome = await workshop.invoke(node(workshop, source), request_id="r-3")

    assert outcome.kind == "crash"
    assert error(outcome)["errorMessage"] == f"RequestId: r-3 Error: {ending}"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("setTimeout(() => { throw new TypeError('late') }, 1)", "TypeError", "late"),
        (
            "Promise.reject(new TypeError('lost'))",
            "Runtime.UnhandledPromiseRejection",
            "TypeError: lost",
        ),
    ],
)
async def test_an_error_that_nobody_caught_ends_the_sandbox(
    workshop: Workshop, body: str, kind: str, message: str
) -> None:
    source = f"exports.handler = (event, context, callback) => {{ {body}; }};\n"
    spec = node(workshop, source)

    outcome = await workshop.invoke(spec)
    after = await workshop.invoke(spec)

    assert (error(outcome)["errorType"], error(outcome)["errorMessage"]) == (kind, message)
    assert after.init_ms is not None


async def test_the_context_is_complete(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = async (event, context) => [context,"
        " context.getRemainingTimeInMillis()];\n",
    )

    context, remaining_ms = value(
        await workshop.invoke(
            spec,
            request_id="r-4",
            client_context='{"custom": {"a": 1}}',
            cognito_identity='{"cognitoIdentityId": "i"}',
        )
    )

    assert context == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": "fn",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/fn",
        "logStreamName": "2026/01/01/[$LATEST]abc",
        "clientContext": {"custom": {"a": 1}},
        "identity": {"cognitoIdentityId": "i"},
        "invokedFunctionArn": spec.arn,
        "awsRequestId": "r-4",
    }
    assert 9_000 < remaining_ms <= 10_000


async def test_console_lines_have_time_request_and_level(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = async () => {\n"
        "  console.log('a %s', 'b', { c: 1 }); console.warn('two\\nlines');\n"
        "  console.error('e'); console.debug('d'); process.stdout.write('plain\\n');\n};\n",
    )
    events: list[bytes] = []

    await workshop.invoke(spec, request_id="r-5", on_log=events.append)

    rest = [event.decode().split("\t", 1)[-1] for event in events]
    assert rest == [
        "r-5\tINFO\ta b { c: 1 }",
        "r-5\tWARN\ttwo\nlines",
        "r-5\tERROR\te",
        "r-5\tDEBUG\td",
        "plain",
    ]
    assert events[0].split(b"\t")[0].endswith(b"Z")


async def test_json_logs_are_filtered_by_level(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = async () => { console.debug('no'); console.info({ a: 1 });"
        " console.error('bad', new Error('x')); };\n",
        log_format="JSON",
        log_level="INFO",
    )
    events: list[bytes] = []

    await workshop.invoke(spec, request_id="r-6", on_log=events.append)

    info, failure = map(json.loads, events)
    assert (info["level"], info["requestId"], info["message"]) == ("INFO", "r-6", {"a": 1})
    assert (failure["level"], failure["errorType"], failure["errorMessage"]) == (
        "ERROR",
        "Error",
        "x",
    )


async def test_an_answer_over_six_megabytes_is_an_error(workshop: Workshop) -> None:
    spec = node(workshop, "exports.handler = async (size) => 'x'.repeat(size);\n")

    fits = await workshop.invoke(spec, RESPONSE_BYTES_MAX - 2)
    too_large = await workshop.invoke(spec, RESPONSE_BYTES_MAX)

    assert len(fits.payload) == RESPONSE_BYTES_MAX
    assert too_large.error_type == "Function.ResponseSizeTooLarge"


async def test_too_much_memory_is_a_kill(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = async () => { const hold = []; for (;;) {"
        " hold.push(Buffer.alloc(8 << 20, 1)); await new Promise(setImmediate); } };\n",
    )

    outcome = await workshop.invoke(spec)

    assert outcome.kind == "out_of_memory"
    assert error(outcome)["errorType"] == "Runtime.OutOfMemory"


async def test_the_environment_and_the_modules_of_layers_are_found(workshop: Workshop) -> None:
    layer = workshop.files({"nodejs/node_modules/shared/index.js": "module.exports = 'layer';\n"})
    code = workshop.files(
        {
            "index.js": "exports.handler = async () => [require('shared'), process.env.STAGE,"
            " process.env.AWS_EXECUTION_ENV, process.cwd(), process.env._X_AMZN_TRACE_ID];\n"
        }
    )
    spec = workshop.spec(code, "nodejs20.x", layers=(layer,), environment={"STAGE": "dev"})

    found = value(await workshop.invoke(spec, trace_id="Root=1"))

    assert found == ["layer", "dev", "AWS_Lambda_nodejs20.x", "/var/task", "Root=1"]


async def test_node_options_are_obeyed(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = async () => require('v8').getHeapStatistics().heap_size_limit >> 20;\n",
        environment={"NODE_OPTIONS": "--max-old-space-size=100"},
        memory_mb=256,
    )

    assert value(await workshop.invoke(spec)) < 200


async def test_a_missing_version_is_stood_in_for_by_a_later_one_which_says_so(
    workshop: Workshop,
) -> None:
    spec = node(workshop, "exports.handler = async () => process.version;\n", "nodejs22.x")
    choice = workshop.supervisor.choose("nodejs22.x")
    if choice.version.startswith("22."):
        pytest.skip("Node.js 22 itself is installed")

    outcome = await workshop.invoke(spec)

    assert int(value(outcome)[1:].split(".")[0]) > 22
    assert outcome.log.startswith(b"SKYFOLD NOTE: the runtime nodejs22.x runs on Node.js ")


async def test_from_node_24_on_callback_handlers_are_refused(workshop: Workshop) -> None:
    spec = node(
        workshop, "exports.handler = (event, context, callback) => callback();\n", "nodejs24.x"
    )

    outcome = await workshop.invoke(spec)

    assert outcome.error_type == "Runtime.CallbackHandlerDeprecated"


async def test_a_streaming_handler_invoked_without_streaming_answers_whole(
    workshop: Workshop,
) -> None:
    spec = node(
        workshop,
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => {\n"
        "  stream.setContentType('text/plain'); stream.write('a'); stream.write('b');"
        " stream.end(); });\n",
    )

    outcome = await workshop.invoke(spec)

    assert outcome.payload == b"ab"
    assert outcome.content_type == "text/plain"


async def test_invocations_do_not_mix(workshop: Workshop) -> None:
    spec = node(
        workshop,
        "exports.handler = async (n) => { await new Promise((r) => setTimeout(r, n % 3));"
        " return n; };\n",
    )

    outcomes = await asyncio.gather(*(workshop.invoke(spec, n) for n in range(12)))

    assert [value(outcome) for outcome in outcomes] == list(range(12))
