"""``skyfold up``: read the settings, open the store, listen, and stop cleanly."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skyfold.base.clock import stopwatch
from skyfold.base.settings import DEFAULT_ACCOUNT, Settings

if TYPE_CHECKING:
    from skyfold.server.node import Node

log = logging.getLogger("skyfold")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; the exit status."""
    started = stopwatch()
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=os.environ.get("SKYFOLD_LOG", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        settings = settings_of(options)
    except ValueError as wrong:
        print(f"skyfold up: {wrong}", file=sys.stderr)
        return 2
    import uvloop

    # The thread that syncs the log must not wait for the default of 5 ms to say that it has.
    sys.setswitchinterval(0.0002)

    from skyfold.compute.api import ComputeError
    from skyfold.store.api import StoreInUse, StoreUnavailable

    try:
        return uvloop.run(_serve(settings, started))
    except (ComputeError, StoreInUse, StoreUnavailable, OSError) as trouble:
        print(f"skyfold up: {trouble}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    env = os.environ.get
    made = argparse.ArgumentParser(
        prog="skyfold up", description="Start the cloud and run it until Ctrl-C."
    )
    add = made.add_argument
    add("--host", default=env("SKYFOLD_HOST", "127.0.0.1"), help="address to listen on")
    add("--port", type=int, default=int(env("SKYFOLD_PORT", "4566")), help="port to listen on")
    add("--data", type=Path, default=env("SKYFOLD_DATA"), help="data folder (~/.skyfold)")
    add("--ephemeral", action="store_true", help="keep nothing: state ends with the process")
    add(
        "--durability",
        choices=("strict", "relaxed"),
        default=env("SKYFOLD_DURABILITY", "strict"),
        help="relaxed answers before the disk has it: a power cut may lose the last second",
    )
    add("--postgres", default=env("SKYFOLD_POSTGRES", ""), help="DSN: keep state in PostgreSQL")
    add("--region", default=env("SKYFOLD_REGION", "us-east-1"), help="where requests name none")
    add("--account", default=env("SKYFOLD_ACCOUNT", DEFAULT_ACCOUNT), help="the account's id")
    add(
        "--isolation",
        default=env("SKYFOLD_LAMBDA_ISOLATION", ""),
        help="require:N refuses to start below sandbox level N; none allows no isolation",
    )
    add("--no-hooks", action="store_true", help="do not run /etc/localstack/init hooks")
    return made


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises ValueError, with the remedy, for what does not go together."""
    if not (options.account.isdecimal() and len(options.account) == 12):
        raise ValueError(f"--account takes twelve digits, not {options.account!r}")
    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port takes a number from 0 to 65535, not {options.port}")
    if not re.fullmatch(r"|none|require:[0-3]", options.isolation):
        raise ValueError(
            f"--isolation takes none or require:N with N from 0 to 3, not {options.isolation!r}"
        )
    if options.ephemeral and options.data:
        raise ValueError("--ephemeral keeps nothing, so it takes no --data")
    engine = "memory" if options.ephemeral else "postgres" if options.postgres else "rocks"
    data = None if options.ephemeral else Path(options.data or Path.home() / ".skyfold")
    return Settings(
        host=options.host,
        port=options.port,
        data=data,
        durability=options.durability,
        engine=engine,  # type: ignore[arg-type]  # one of the three words above
        postgres=options.postgres,
        region=options.region,
        account=options.account,
        seeded_keys=is_loopback(options.host),
        isolation=options.isolation,
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _serve(settings: Settings, started: float) -> int:
    from skyfold.server.admin import Admin
    from skyfold.server.http import serving
    from skyfold.server.node import Ephemeral, Node, open_store

    ephemeral = Ephemeral() if settings.data is None else None
    folder = ephemeral.path if ephemeral else settings.data
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    node = Node(settings, open_store(settings, folder), folder)
    admin = Admin(node)

    async def ready() -> None:
        _say_ready(node, (stopwatch() - started) * 1000)
        await admin.ready()

    server = serving(admin.handle, settings, ready)
    node.door = server.open_door
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, server.ask_to_stop)
    try:
        await node.start()
        if settings.isolation.startswith("require:"):
            await node.platform.sandboxes()  # raises where they cannot be had: no start then
        await server.serve()
    finally:
        await node.stop()
        if ephemeral:
            ephemeral.remove()
    return 0 if server.started else 1


def _say_ready(node: Node, took_ms: float) -> None:
    settings = node.settings
    where = settings.data or "nowhere (ephemeral)"
    print(f"Skyfold is ready at {settings.endpoint} ({took_ms:.0f} ms); state: {where}", flush=True)
    if node.root_key is not None:
        key, secret = node.root_key
        print(f"Root key of account {settings.account} (shown once): {key} {secret}", flush=True)
