"""The real server as a process: started, killed, started again, and nothing left of it."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

START_SECONDS_MAX = 30
GONE_SECONDS_MAX = 10
MARK = "SKYFOLD_TEST_RUN"
NOT_INHERITED = ("AWS_", "SKYFOLD_", "BOTO_")


def plain_environment(**more: str) -> dict[str, str]:
    """Ours without anything that would point a client or the server somewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull} | more


class Server:
    """`skyfold up` on a free port with its state, log and temporary files in ``folder``."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] = {}) -> None:
        self.folder, self.options = folder, options
        self.mark = secrets.token_hex(12)
        self.state, self.log = folder / "state", folder / "server.log"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        own = {MARK: self.mark, "TMPDIR": str(self.temporary)}
        self._environment = plain_environment(**own, **environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._session = boto3.Session(region_name="us-east-1")
        self._lock = threading.Lock()
        self._clients: dict[tuple[object, ...], Any] = {}
        self._seen: set[tuple[int, str]] = set()

    # --- its life -----------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the process and do not wait for it."""
        command = [sys.executable, "-m", "skyfold", "up", "--no-hooks", "--port", str(self.port)]
        if "--ephemeral" not in self.options:
            command += ["--data", str(self.state)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self.options], stdout=log, stderr=log, env=self._environment
            )

    def start(self) -> float:
        """Start it; the seconds until it answered."""
        began = time.perf_counter()
        self.launch()
        assert self._process is not None
        while time.perf_counter() - began < START_SECONDS_MAX and self._process.poll() is None:
            if self.answers():
                return time.perf_counter() - began
            time.sleep(0.01)
        raise AssertionError(f"The server did not start:\n{self.log.read_text()[-4000:]}")

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.endpoint}/_skyfold/health", timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush, nothing."""
        assert self._process is not None
        self._seen |= descendants(self._process.pid)
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._seen |= descendants(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("The server did not stop within 15 s.") from None

    def end(self) -> None:
        """However the test went: no process of it goes on."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)

    def ready_ms(self) -> list[int]:
        """For each start, how long it says that it took."""
        found = re.findall(r"Skyfold is ready at \S+ \((\d+) ms\)", self.log.read_text())
        return [int(number) for number in found]

    # --- its processes ------------------------------------------------------------------------

    def survivors(self) -> list[int]:
        """Processes that the server or what it started has left behind, after a short wait."""
        until = time.monotonic() + GONE_SECONDS_MAX
        while (left := self._alive()) and time.monotonic() < until:
            time.sleep(0.02)
        return left

    def _alive(self) -> list[int]:
        own = (os.getpid(), self._process.pid if self._process else 0)
        mark, place = self.mark.encode(), str(self.folder).encode()
        left = {pid for pid, began in self._seen if _began(pid) == began}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) in own:
                continue
            try:
                found = mark in (entry / "environ").read_bytes()
                found = found or place in (entry / "mountinfo").read_bytes()
            except OSError:
                continue
            if found:
                left.add(int(entry.name))
        return sorted(left)

    # --- its clients --------------------------------------------------------------------------

    def client(
        self, service: str, *, attempts: int = 1, read_timeout: float = 20, **more: Any
    ) -> Any:
        """A boto3 client, the same for the same arguments, that does not wait for long."""
        key = (service, attempts, read_timeout, *sorted(more.items()))
        with self._lock:
            if key not in self._clients:
                given = {"aws_access_key_id": "test", "aws_secret_access_key": "test", **more}
                config = Config(
                    s3={"addressing_style": "path"},
                    retries={"total_max_attempts": attempts, "mode": "standard"},
                    connect_timeout=2,
                    read_timeout=read_timeout,
                    max_pool_connections=20,
                )
                self._clients[key] = self._session.client(
                    service, endpoint_url=self.endpoint, config=config, **given
                )
            return self._clients[key]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The platform's own pages."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def serves(self, service: str) -> bool:
        return service in self.ask("GET", "/_skyfold/health")["services"]


def descendants(pid: int) -> set[tuple[int, str]]:
    """The processes below ``pid``, each with when it began, since numbers are used again."""
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        for tasks in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                children = [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue
            waiting += children
            found |= {(child, _began(child)) for child in children}
    return found


def _began(pid: int) -> str:
    """When a process began; empty when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """A started server for the length of a ``with`` block; nothing of it is left afterwards."""
    server = Server(folder, *options, environment=environment)
    try:
        server.start()
        yield server
    finally:
        server.end()
