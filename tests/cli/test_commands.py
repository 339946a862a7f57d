"""Each command, as a process, against a cloud."""

from __future__ import annotations

import io
import json
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from skyfold.testing.cloud import TestCloud
from tests.cli.conftest import Skyfold
from tests.support.server import plain_environment

NOWHERE = "http://127.0.0.1:1"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
HANDLER = """
def handler(event, context):
    print("greeting", event.get("name"))
    if event.get("fail"):
        raise ValueError("no such name")
    return {"hello": event.get("name")}
"""


def make_function(cloud: TestCloud) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", HANDLER)
    role = cloud.client("iam").create_role(RoleName="greeter", AssumeRolePolicyDocument=TRUST)
    cloud.client("iam").attach_role_policy(
        RoleName="greeter",
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    )
    cloud.client("lambda").create_function(
        FunctionName="greet",
        Runtime="python3.11",
        Handler="app.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": packed.getvalue()},
    )
    cloud.client("lambda").get_waiter("function_active_v2").wait(FunctionName="greet")


def test_status_says_where_and_what(skyfold: Skyfold, cloud: TestCloud) -> None:
    plain = skyfold("status")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert cloud.endpoint in plain.stdout
    assert "services: apigatewayv2, cloudformation, dynamodb" in plain.stdout

    found = json.loads(skyfold("status", "--json").stdout)

    assert found["endpoint"] == cloud.endpoint
    assert found["services"]["s3"] == "available"
    assert found["clock"]["frozen"] is False


def test_env_sets_what_a_shell_evaluates(skyfold: Skyfold, cloud: TestCloud) -> None:
    exports = skyfold("env", "--region", "eu-west-1").stdout
    shown = subprocess.run(
        ["sh", "-c", f'{exports}\necho "$AWS_ENDPOINT_URL $AWS_REGION $AWS_ACCESS_KEY_ID"'],
        capture_output=True,
        text=True,
        env=plain_environment(),
        check=True,
    )
    assert shown.stdout.split() == [cloud.endpoint, "eu-west-1", "test"]


def test_env_as_json_holds_variables_alone(skyfold: Skyfold, cloud: TestCloud) -> None:
    found = json.loads(skyfold("env", "--json").stdout)
    assert found["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert all(name.isupper() for name in found)


def test_env_makes_the_aws_command_name_the_endpoint(
    skyfold: Skyfold, cloud: TestCloud, tmp_path: Path
) -> None:
    pretend_aws(tmp_path)
    exports = skyfold("env").stdout
    shown = subprocess.run(
        ["sh", "-c", f"{exports}\naws sqs list-queues"],
        capture_output=True,
        text=True,
        env=plain_environment(PATH=f"{tmp_path}:/usr/bin:/bin"),
        check=True,
    )
    assert shown.stdout.split() == ["--endpoint-url", cloud.endpoint, "sqs", "list-queues"]


def pretend_aws(folder: Path) -> str:
    """A program called aws that prints its arguments."""
    program = folder / "aws"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_exec_names_the_endpoint_to_the_aws_command(
    skyfold: Skyfold, cloud: TestCloud, tmp_path: Path
) -> None:
    ran = skyfold("exec", "--", pretend_aws(tmp_path), "sqs", "list-queues", "--region", "x")
    assert ran.stdout.split() == [
        "--endpoint-url",
        cloud.endpoint,
        "sqs",
        "list-queues",
        "--region",
        "x",
    ]


def test_exec_ends_as_the_program_ends(skyfold: Skyfold, cloud: TestCloud) -> None:
    ran = skyfold("exec", "--", "sh", "-c", 'echo "$AWS_ENDPOINT_URL" "$1"; exit 7', "sh", "--json")
    assert ran.returncode == 7
    assert ran.stdout.split() == [cloud.endpoint, "--json"]


def test_exec_of_a_program_that_is_not_there_is_127(skyfold: Skyfold) -> None:
    ran = skyfold("exec", "--", "no-such-program")
    assert ran.returncode == 127
    assert ran.stderr == "skyfold exec: no-such-program is not installed.\n"


def test_exec_of_nothing_says_what_to_write(skyfold: Skyfold) -> None:
    ran = skyfold("exec")
    assert ran.returncode == 2
    assert "name a command: skyfold exec -- aws s3 ls" in ran.stderr


def test_coverage_counts_operations_and_what_was_refused(
    skyfold: Skyfold, cloud: TestCloud
) -> None:
    kinesis = cloud.client("kinesis")
    with pytest.raises(kinesis.exceptions.ClientError):
        kinesis.list_streams()

    table = skyfold("coverage")

    assert "asked for" in table.stdout
    assert "kinesis:ListStreams" in table.stdout
    rows = dict(line.split("\t", 1) for line in table.stdout.splitlines() if "\t" in line)
    assert rows["sqs"].split("\t")[0] == rows["sqs"].split("\t")[1]


def test_coverage_of_one_service_lists_its_operations(skyfold: Skyfold) -> None:
    assert "SendMessage\tyes" in skyfold("coverage", "sqs").stdout
    found = json.loads(skyfold("coverage", "logs", "--json").stdout)
    assert (found["CreateLogGroup"], found["CreateDelivery"]) == (True, False)


def test_coverage_of_an_unknown_service_names_those_there_are(skyfold: Skyfold) -> None:
    refused = skyfold("coverage", "sqss")
    assert refused.returncode == 1
    assert refused.stderr.startswith("skyfold: There is no service 'sqss' here; there are ")


def test_the_clock_stops_moves_and_goes_on(skyfold: Skyfold) -> None:
    frozen = json.loads(skyfold("clock", "freeze", "--json").stdout)
    later = json.loads(skyfold("clock", "advance", "90s", "--json").stdout)
    assert later["now_ms"] == frozen["now_ms"] + 90_000
    assert skyfold("clock").stdout.endswith("(stopped)\n")
    assert "The clock is stopped" in skyfold("status").stdout
    assert json.loads(skyfold("clock", "resume", "--json").stdout)["frozen"] is False


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("advance", "soon"), "'soon' is no duration: write 90s, 10m, 2h or 1d"),
        (("advance",), "is no duration"),
        (("rewind",), "show, freeze, resume or advance, not 'rewind'"),
    ],
)
def test_a_clock_that_cannot_do_that_says_what_it_can(
    skyfold: Skyfold, words: tuple[str, ...], wrong: str
) -> None:
    refused = skyfold("clock", *words)
    assert refused.returncode == 2
    assert wrong in refused.stderr


def test_reset_forgets_everything(skyfold: Skyfold, cloud: TestCloud) -> None:
    cloud.client("sqs").create_queue(QueueName="orders")
    assert skyfold("reset").stdout == "Everything is forgotten.\n"
    assert "QueueUrls" not in cloud.client("sqs").list_queues()


def test_a_snapshot_file_brings_back_what_was(
    skyfold: Skyfold, cloud: TestCloud, tmp_path: Path
) -> None:
    s3, body = cloud.client("s3"), bytes(range(256)) * 1000
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="big", Body=body)
    saved = skyfold("snapshot", "save", str(tmp_path / "state.tar"))
    assert saved.returncode == 0, saved.stderr
    skyfold("reset")

    loaded = skyfold("snapshot", "load", str(tmp_path / "state.tar"))

    assert loaded.returncode == 0, loaded.stderr
    assert s3.get_object(Bucket="kept", Key="big")["Body"].read() == body
    assert [path.name for path in tmp_path.iterdir()] == ["state.tar"]


def test_a_damaged_snapshot_is_refused_and_changes_nothing(
    skyfold: Skyfold, cloud: TestCloud, tmp_path: Path
) -> None:
    cloud.client("sqs").create_queue(QueueName="orders")
    (tmp_path / "state.tar").write_bytes(b"no archive" * 100)

    refused = skyfold("snapshot", "load", str(tmp_path / "state.tar"))

    assert refused.returncode == 1
    assert refused.stderr.startswith("skyfold: POST /_skyfold/snapshot: 400: ")
    assert len(cloud.client("sqs").list_queues()["QueueUrls"]) == 1


@pytest.mark.parametrize("action", ["save", "load"])
def test_a_snapshot_where_no_file_can_be_is_refused_plainly(
    skyfold: Skyfold, action: str, tmp_path: Path
) -> None:
    refused = skyfold("snapshot", action, str(tmp_path / "no" / "such" / "folder"))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "No such file or directory" in refused.stderr


def test_invoke_prints_the_answer_and_the_log_and_logs_finds_it_again(
    skyfold: Skyfold, cloud: TestCloud
) -> None:
    make_function(cloud)

    answered = skyfold("invoke", "greet", "--payload", '{"name": "Ada"}')
    from_stdin = skyfold("invoke", "greet", "--payload", "-", stdin='{"name": "Bob"}')
    failed = skyfold("invoke", "greet", "--payload", '{"fail": true}')
    started = skyfold("invoke", "greet", "--event", "--payload", '{"name": "Eve"}')

    assert (answered.returncode, json.loads(answered.stdout)) == (0, {"hello": "Ada"})
    assert "greeting Ada" in answered.stderr
    assert "REPORT RequestId" in answered.stderr
    assert json.loads(from_stdin.stdout) == {"hello": "Bob"}
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["errorType"] == "ValueError"
    assert (started.returncode, started.stdout) == (0, "")
    until = time.monotonic() + 20
    while "greeting Eve" not in (shown := skyfold("logs", "greet").stdout):
        assert time.monotonic() < until, shown
    assert shown.index("greeting Ada") < shown.index("greeting Bob")
    assert "greeting Ada" in skyfold("logs", "/aws/lambda/greet", "--since", "1h").stdout


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("invoke", "nobody"), "Function not found: arn:aws:lambda:us-east-1:"),
        (("logs", "nobody"), "The specified log group does not exist."),
        (("invoke", "nobody", "--payload", "{"), "Could not parse request body into json"),
    ],
)
def test_what_the_cloud_refuses_is_said_in_its_words(
    skyfold: Skyfold, words: tuple[str, ...], wrong: str
) -> None:
    refused = skyfold(*words)
    assert refused.returncode == 1
    assert wrong in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("words", [("status",), ("reset",), ("deploy", "."), ("clock",)])
def test_where_nothing_listens_the_message_says_what_to_do(
    skyfold: Skyfold, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}")
    words = tuple(str(tmp_path) if word == "." else word for word in words)
    refused = skyfold(*words, "--endpoint", NOWHERE)
    assert refused.returncode == 1
    assert f"skyfold: No cloud answers at {NOWHERE}" in refused.stderr
    assert "Start one with `skyfold up`" in refused.stderr


def test_an_endpoint_that_is_no_address_is_refused_plainly(skyfold: Skyfold) -> None:
    refused = skyfold("status", "--endpoint", "localhost:4566")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "write http://HOST:PORT" in refused.stderr


def test_without_a_command_the_list_of_commands_is_shown(skyfold: Skyfold) -> None:
    shown = skyfold()
    assert "deploy" in shown.stdout + shown.stderr
    assert skyfold("no-such-command").returncode == 2
