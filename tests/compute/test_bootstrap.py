"""Our stand-in for AWS's Python client answers as AWS's does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("awslambdaric")

COMPUTE = Path(__file__).parents[2] / "src" / "skyfold" / "compute"

DRIVER = """
import importlib, json, sys, types
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from inside.python import preload
if sys.argv[3] == "theirs":
    preload("AWS_Lambda_python3.11", "")
    run = sys.modules["awslambdaric.bootstrap"].run
    marshaller = sys.modules["awslambdaric.lambda_runtime_marshaller"].LambdaMarshaller()
else:
    run = importlib.import_module("inside.bootstrap").run
    marshaller = None
answers = []

class Client:
    def wait_next_invocation(self):
        if answers:
            raise EOFError
        return types.SimpleNamespace(
            invoke_id="r-1", x_amzn_trace_id=None, invoked_function_arn="arn",
            deadline_time_in_ms=0, client_context='{"custom": {"a": 1}}', cognito_identity=None,
            tenant_id=None, content_type="application/json", event_body=sys.argv[5].encode(),
            invocation_id=None)
    def post_invocation_result(self, invoke_id, data, content_type, invocation_id=None):
        text = data.decode() if isinstance(data, bytes) else json.loads(data)
        answers.append(["result", text, content_type])
    def post_invocation_error(self, invoke_id, data, fault, invocation_id=None):
        answers.append(["error", json.loads(data)])
    def post_init_error(self, error, override=None):
        answers.append(["init", error])

client = Client()
client.marshaller = marshaller
try:
    run(sys.argv[4], client)
except (EOFError, SystemExit):
    pass
print("ANSWERS " + json.dumps(answers))
"""

CASES = {
    "answer": ("return [event, context.aws_request_id, context.client_context.custom]", "{}"),
    "bytes": ("return b'raw'", "1"),
    "decimal": ("import decimal; return decimal.Decimal('1.5')", "1"),
    "raise": ("raise ValueError('bad')", "1"),
    "nested": ("int('x')", "1"),
    "marshal": ("return {1, 2}", "1"),
    "unmarshal": ("return event", "{"),
    "log": ("import logging; logging.warning('careful'); print('text')", "1"),
}


def run(folder: Path, whose: str, handler: str, event: str) -> tuple[Any, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(COMPUTE), str(folder), whose, handler, event],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    *log, answers = done.stdout.splitlines()
    timeless = [line.split("\t")[0] + line.split("\t")[-1] for line in log]
    return json.loads(answers.removeprefix("ANSWERS ")), timeless


@pytest.mark.parametrize("name", CASES)
def test_an_invocation_ends_alike(tmp_path: Path, name: str) -> None:
    body, event = CASES[name]
    (tmp_path / "index.py").write_text(f"def handler(event, context):\n    {body}\n")

    theirs = run(tmp_path, "theirs", "index.handler", event)
    ours = run(tmp_path, "ours", "index.handler", event)

    assert theirs[0]
    if name not in ("marshal", "unmarshal"):
        assert ours == theirs
    else:  # the reason is the JSON library's, and theirs is another one
        assert ours[0][0][1]["errorType"] == theirs[0][0][1]["errorType"]


@pytest.mark.parametrize(
    ("source", "handler"),
    [
        ("import absent\n", "index.handler"),
        ("", "index.handler"),
        ("def (:\n", "index.handler"),
        ("", "nodot"),
        ("", "sys.handler"),
        ("raise OSError('x')\n", "index.handler"),
    ],
)
def test_code_that_cannot_be_loaded_fails_alike(tmp_path: Path, source: str, handler: str) -> None:
    (tmp_path / "index.py").write_text(source)

    theirs = run(tmp_path, "theirs", handler, "1")[0]
    ours = run(tmp_path, "ours", handler, "1")[0]

    assert ours[0][0] == theirs[0][0] == "init"
    for member in ("errorType", "errorMessage", "requestId"):
        assert ours[0][1][member] == theirs[0][1][member]
    assert ours[0][1]["stackTrace"][-1:] == theirs[0][1]["stackTrace"][-1:]
