"""`skyfold up`: its settings, and the keys that work where it listens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from skyfold.base.settings import Settings
from skyfold.server.main import parser, settings_of
from tests.support.server import Server, plain_environment, running


def settings(*words: str) -> Settings:
    return settings_of(parser().parse_args(words))


def test_by_default_the_state_is_kept_at_home_and_served_on_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("SKYFOLD_")]:
        monkeypatch.delenv(name)
    found = settings()
    assert found.data == Path.home() / ".skyfold"
    assert (found.host, found.port, found.engine) == ("127.0.0.1", 4566, "rocks")
    assert (found.durability, found.seeded_keys) == ("strict", True)


@pytest.mark.parametrize(
    ("host", "seeded"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("cloud.example", False),
    ],
)
def test_the_key_test_works_on_loopback_alone(host: str, seeded: bool) -> None:
    assert settings("--host", host).seeded_keys is seeded


def test_options_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYFOLD_PORT", "4999")
    monkeypatch.setenv("SKYFOLD_REGION", "eu-north-1")
    monkeypatch.setenv("SKYFOLD_LAMBDA_ISOLATION", "require:2")
    found = settings("--port", "5000")
    assert (found.port, found.region, found.isolation) == (5000, "eu-north-1", "require:2")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--account", "12345"), "--account takes twelve digits, not '12345'"),
        (("--account", "12345678901x"), "--account takes twelve digits"),
        (("--ephemeral", "--data", "folder"), "--ephemeral keeps nothing, so it takes no --data"),
        (("--isolation", "require:9"), "--isolation"),
        (("--isolation", "perhaps"), "--isolation"),
        (("--port", "70000"), "--port"),
        (("--durability", "some"), "--durability"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(
    tmp_path: Path, words: tuple[str, ...], wrong: str
) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "skyfold", "up", *words],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=tmp_path,
        env=plain_environment(HOME=str(tmp_path)),
    )
    assert refused.returncode == 2
    assert wrong in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == [], "nothing was made"


def test_a_port_in_use_is_said_plainly(tmp_path: Path) -> None:
    with running(tmp_path / "one", "--ephemeral") as first:
        second = Server(tmp_path / "two", "--ephemeral")
        second.port = first.port
        second.launch()
        assert second._process is not None
        assert second._process.wait(20) == 1
        said = second.log.read_text()
        assert "skyfold up:" in said
        assert "Traceback" not in said
        assert list(second.temporary.iterdir()) == []


def test_bound_to_every_address_only_the_printed_root_key_works(tmp_path: Path) -> None:
    with running(tmp_path / "server", "--host", "0.0.0.0") as server:
        found = re.search(r"Root key of account (\d+) \(shown once\): (\S+) (\S+)", _log(server))
        assert found, _log(server)
        account, key, secret = found.groups()

        def caller(key: str, secret: str) -> str:
            sts = boto3.client(
                "sts",
                endpoint_url=server.endpoint,
                region_name="us-east-1",
                aws_access_key_id=key,
                aws_secret_access_key=secret,
            )
            return str(sts.get_caller_identity()["Arn"])

        assert caller(key, secret) == f"arn:aws:iam::{account}:root"
        for wrong in (("test", "test"), ("000000000000", "test"), (key, "wrong")):
            with pytest.raises(ClientError):
                caller(*wrong)
        signed = _reset(server, key, secret)
        assert signed.returncode == 0, signed.stderr
        refused = _reset(server, "test", "test")
        assert refused.returncode == 1
        assert "403: Sign this request with the root key" in refused.stderr

        server.stop()
        server.start()

        assert _log(server).count("Root key of account") == 1
        assert caller(key, secret).endswith(":root")


def _log(server: Server) -> str:
    return server.log.read_text()


def _reset(server: Server, key: str, secret: str) -> subprocess.CompletedProcess[str]:
    """As from another machine: the address is none of loopback's names for the client."""
    return subprocess.run(
        [sys.executable, "-m", "skyfold", "reset"],
        capture_output=True,
        text=True,
        env=plain_environment(
            SKYFOLD_ENDPOINT=f"http://0.0.0.0:{server.port}",
            AWS_ACCESS_KEY_ID=key,
            AWS_SECRET_ACCESS_KEY=secret,
        ),
    )


def test_ctrl_c_ends_it_well_and_an_ephemeral_cloud_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "server", "--ephemeral") as server:
        assert list(server.temporary.iterdir()) != []
        assert server.stop() == 0
        assert server.survivors() == []
        assert list(server.temporary.iterdir()) == []
        assert not server.state.exists()
