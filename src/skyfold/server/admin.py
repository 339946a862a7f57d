"""The platform's own pages: health, coverage, reset, clock, snapshots, start-up hooks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

import skyfold
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.server.node import Node

log = logging.getLogger("skyfold.admin")

HOOKS = Path("/etc/localstack/init/ready.d")
Page = Callable[[HttpRequest], Awaitable[HttpReply]]


class Refused(Exception):
    """The request cannot be done; says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Admin:
    """Answers ``/_skyfold/...`` and ``/_localstack/...``; the gateway gets everything else.

    What changes something is for those who can reach the machine's loopback, or who hold the root
    key when the platform listens on another address.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hooks: list[dict[str, str]] = []
        self._ready = False
        self._pages: dict[tuple[str, str], Page] = {
            ("GET", "/_skyfold/health"): self._health,
            ("GET", "/_localstack/health"): self._health,
            ("HEAD", "/_localstack/health"): self._health,
            ("GET", "/_localstack/init"): self._init,
            ("GET", "/_localstack/info"): self._info,
            ("GET", "/_skyfold/coverage"): self._coverage,
            ("GET", "/_skyfold/clock"): self._clock,
            ("GET", "/_skyfold/usage"): self._usage,
            ("GET", "/_skyfold/snapshot"): self._guarded(self._save),
            ("POST", "/_skyfold/snapshot"): self._guarded(self._load),
            ("POST", "/_skyfold/clock"): self._guarded(self._move_clock),
            ("POST", "/_skyfold/reset"): self._guarded(self._reset),
            ("POST", "/_localstack/state/reset"): self._guarded(self._reset),
        }

    async def handle(self, request: HttpRequest) -> HttpReply:
        if not request.path.startswith(("/_skyfold/", "/_localstack/")):
            return await self._node.gateway.handle(request)
        page = self._pages.get((request.method, request.path))
        if page is None:
            return _json({"message": f"There is no {request.method} {request.path}."}, 404)
        try:
            return await page(request)
        except Refused as refused:
            return _json({"message": str(refused)}, refused.status)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _json({"message": "An internal error occurred; see the log."}, 500)

    async def ready(self) -> None:
        """Run the hooks of ``/etc/localstack/init/ready.d``, in the order of their names."""
        scripts = _hook_scripts()
        self._hooks = [{"stage": "READY", "name": p.name, "state": "UNKNOWN"} for p in scripts]
        for script, hook in zip(scripts, self._hooks, strict=True):
            hook["state"] = "RUNNING"
            done = await _run_hook(script, self._environment())
            hook["state"] = "SUCCESSFUL" if done else "ERROR"
        self._ready = True

    def _environment(self) -> dict[str, str]:
        settings = self._node.settings
        own = {
            "AWS_ENDPOINT_URL": settings.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": settings.region,
        }
        return {**own, **os.environ, "AWS_ENDPOINT_URL": settings.endpoint}

    async def _health(self, request: HttpRequest) -> HttpReply:
        services = {
            name.rstrip("_"): "available" for name in sorted(self._node.platform.catalog.services)
        }
        edition = {"edition": "skyfold", "version": skyfold.__version__, "pid": os.getpid()}
        return _json({"services": services, **edition})

    async def _info(self, request: HttpRequest) -> HttpReply:
        return _json({"version": skyfold.__version__, "edition": "skyfold", "is_docker": False})

    async def _init(self, request: HttpRequest) -> HttpReply:
        completed = {"BOOT": True, "START": True, "READY": self._ready, "SHUTDOWN": False}
        return _json({"completed": completed, "scripts": self._hooks})

    async def _coverage(self, request: HttpRequest) -> HttpReply:
        """Every operation of every service: implemented or not; and what was asked for in vain."""
        catalog, services = self._node.platform.catalog, {}
        for name, service in sorted(catalog.services.items()):
            known = catalog.wire(name).operation_names
            services[name] = {op: op in service.operations for op in known}
        return _json({"services": services, "refused": dict(self._node.gateway.refused)})

    async def _usage(self, request: HttpRequest) -> HttpReply:
        """Metered usage, summed over hours and resources."""
        from skyfold.kernel.metering import HOUR_MS, usage_between

        platform = self._node.platform
        await platform.store.flush()
        end = platform.clock.now() // HOUR_MS + 1
        account = self._node.settings.account
        sums: dict[tuple[str, str, str], float] = {}
        for row in await platform.store.read(usage_between, account, 0, end):
            key = (row.service, row.usage_type, row.operation)
            sums[key] = sums.get(key, 0) + row.quantity
        rows = [
            {"service": s, "usage_type": u, "operation": o, "quantity": q}
            for (s, u, o), q in sorted(sums.items())
        ]
        return _json({"account": account, "usage": rows})

    async def _clock(self, request: HttpRequest) -> HttpReply:
        clock = self._node.clock
        return _json({"now_ms": clock.now(), "frozen": clock.frozen})

    async def _move_clock(self, request: HttpRequest) -> HttpReply:
        """``{"freeze": true}``, ``{"resume": true}`` or ``{"advance_seconds": 60}``."""
        wanted = _body(request)
        clock = self._node.clock
        seconds = wanted.get("advance_seconds", 0)
        if not isinstance(seconds, int | float) or seconds < 0:
            raise Refused(400, "advance_seconds takes a number that is not negative.")
        if wanted.get("freeze"):
            clock.freeze()
        if seconds:
            await self._node.advance(seconds)
        if wanted.get("resume"):
            clock.resume()
        return await self._clock(request)

    async def _reset(self, request: HttpRequest) -> HttpReply:
        await self._node.reset()
        return _json({"reset": True})

    async def _save(self, request: HttpRequest) -> HttpReply:
        """The whole state, as a stream, while everything goes on."""
        from skyfold.store import snapshot

        platform = self._node.platform
        stream = snapshot.stream(platform.store, platform.blobs)
        return HttpReply(headers=[("Content-Type", "application/x-tar")], body=stream)

    async def _load(self, request: HttpRequest) -> HttpReply:
        """Put an uploaded state in the place of this one. A damaged file changes nothing."""
        from skyfold.store import snapshot

        file = self._node.folder / f"upload-{self._node.platform.ids.hex(8)}"
        try:
            await _received(request, file)
            loaded = await self._node.replace_state(file)
        except snapshot.SnapshotDamaged as damaged:
            raise Refused(400, str(damaged)) from None
        finally:
            await asyncio.to_thread(file.unlink, missing_ok=True)
        return _json({"pairs": loaded.pairs, "blobs": loaded.blobs, "bytes": loaded.bytes})

    def _guarded(self, page: Page) -> Page:
        async def guarded(request: HttpRequest) -> HttpReply:
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                raise Refused(403, "A page of another origin may not do this.")
            if not self._node.settings.seeded_keys:
                await self._ask_root(request)
            return await page(request)

        return guarded

    async def _ask_root(self, request: HttpRequest) -> None:
        from skyfold.base.errors import AwsError

        platform = self._node.platform
        with contextlib.suppress(AwsError):
            who = await platform.access.authenticate(
                platform.store, request, platform.wall.now(), service="skyfold"
            )
            if who.principal.kind == "root" and who.principal.account == platform.settings.account:
                return
        raise Refused(403, "Sign this request with the root key of the platform's account.")


def _hook_scripts() -> list[Path]:
    folder = Path(os.environ.get("SKYFOLD_HOOKS", HOOKS))
    return sorted(p for p in folder.glob("*") if p.suffix in (".sh", ".py"))


async def _received(request: HttpRequest, file: Path) -> None:
    """The body of ``request`` in ``file``."""
    with file.open("wb") as out:
        if request.stream is None:
            await asyncio.to_thread(out.write, request.body)
            return
        async for piece in request.stream:
            await asyncio.to_thread(out.write, piece)


async def _run_hook(script: Path, environment: dict[str, str]) -> bool:
    command = [sys.executable, str(script)] if script.suffix == ".py" else ["sh", str(script)]
    log.info("running the hook %s", script)
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    return await process.wait() == 0


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        return msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
    except msgspec.DecodeError as bad:
        raise Refused(400, f"The body is not a JSON object: {bad}") from None


def _json(value: object, status: int = 200) -> HttpReply:
    headers = [("Content-Type", "application/json")]
    return HttpReply(status=status, headers=headers, body=msgspec.json.encode(value))
