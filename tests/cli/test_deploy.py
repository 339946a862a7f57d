"""`skyfold deploy` of small templates."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from skyfold.testing.cloud import TestCloud
from tests.cli.conftest import Skyfold

TEMPLATE = """
Parameters:
  Stage: {Type: String, Default: dev}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "orders-${Stage}"
Outputs:
  Address: {Value: !Ref Queue}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tiny"
    made.mkdir()
    (made / "template.yaml").write_text(TEMPLATE)
    return made


def test_a_folder_becomes_a_stack_of_its_name(
    skyfold: Skyfold, cloud: TestCloud, folder: Path
) -> None:
    done = skyfold("deploy", str(folder))
    assert done.returncode == 0, done.stderr
    assert "CREATE_COMPLETE" in done.stdout
    assert "tiny: CREATE_COMPLETE" in done.stdout
    assert cloud.client("sqs").get_queue_url(QueueName="orders-dev")
    assert re.search(rf"  Address = http://\S+:{cloud.port}/\d{{12}}/orders-dev\n", done.stdout)


def test_json_is_the_result_and_nothing_else(skyfold: Skyfold, folder: Path) -> None:
    done = skyfold("deploy", str(folder), "--stack-name", "shop", "--json")
    found = json.loads(done.stdout)
    assert (found["stack"], found["status"]) == ("shop", "CREATE_COMPLETE")
    assert found["outputs"]["Address"].endswith("/orders-dev")


def test_a_second_deploy_changes_what_changed_and_a_third_nothing(
    skyfold: Skyfold, folder: Path
) -> None:
    skyfold("deploy", str(folder))
    changed = skyfold("deploy", str(folder), "--parameter", "Stage=prod")
    same = skyfold("deploy", str(folder), "--parameter", "Stage=prod")
    assert "tiny: UPDATE_COMPLETE" in changed.stdout
    assert "Address = " in changed.stdout
    assert "orders-prod" in changed.stdout
    assert same.returncode == 0, same.stderr
    assert "The stack tiny is up to date." in same.stdout


def test_a_stack_that_rolls_back_fails_the_command_and_says_why(
    skyfold: Skyfold, cloud: TestCloud, folder: Path
) -> None:
    (folder / "template.yaml").write_text(TEMPLATE.replace("orders-${Stage}", "no name!"))
    failed = skyfold("deploy", str(folder))
    assert failed.returncode == 1
    assert "ROLLBACK" in failed.stdout
    assert "Can only include alphanumeric characters" in failed.stdout
    assert "QueueUrls" not in cloud.client("sqs").list_queues()


def test_local_code_is_packaged_and_runs(skyfold: Skyfold, folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text("def handler(event, context):\n    return 42\n")
    (folder / "template.yaml").write_text(
        """
Transform: AWS::Serverless-2016-10-31
Resources:
  Answer:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: answer, Runtime: python3.11, Handler: app.handler, CodeUri: code}
"""
    )
    done = skyfold("deploy", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    until = time.monotonic() + 20
    while (invoked := skyfold("invoke", "answer")).returncode:
        assert time.monotonic() < until, invoked.stderr
    assert invoked.stdout == "42\n"


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ("Resources: {F: {Type: 'AWS::Lambda::Function', Properties: {Code: ./no}}}", "/no, which"),
        ("Resources: [", "is no template: while parsing"),
        ("- just\n- a list", "holds no mapping"),
    ],
)
def test_a_template_that_cannot_be_packaged_is_refused_plainly(
    skyfold: Skyfold, cloud: TestCloud, folder: Path, template: str, wrong: str
) -> None:
    (folder / "template.yaml").write_text(template)
    refused = skyfold("deploy", str(folder))
    assert refused.returncode == 1
    assert wrong in refused.stderr
    assert "Traceback" not in refused.stderr
    assert cloud.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_missing_template_is_named(skyfold: Skyfold, tmp_path: Path) -> None:
    refused = skyfold("deploy", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"skyfold: No template in {tmp_path}: looked for ")


def test_a_parameter_needs_a_value(skyfold: Skyfold, folder: Path) -> None:
    refused = skyfold("deploy", str(folder), "--parameter", "Stage")
    assert refused.returncode == 2
    assert "--parameter takes Name=value, not 'Stage'" in refused.stderr
