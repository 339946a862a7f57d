"""Microseconds of CPU that each request costs the event loop, hop by hop, on a RocksDB on disk.

    python bench/requests.py [--work NAME,..] [--seconds 1] [--profile]

CPU time of the loop's own thread, so other processes disturb little. ``handle`` is the gateway
from request to reply, sixteen at a time so that they share group commits; the hops under it are
measured alone, and ``run`` is what is left. ``http`` is the connection without sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import itertools
import pstats
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parent))

from works import WORKS, Endpoint

from skyfold.base.settings import Settings
from skyfold.kernel.http import HttpReply, HttpRequest
from skyfold.kernel.routing import Router
from skyfold.server.http import Connection, serving
from skyfold.server.node import Node, open_store

TOGETHER = 16
COLUMNS = ("http", "handle", "route", "signature", "parse", "decide", "run", "reply")


class Line:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.writes = 0
        self.answered = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.answered.set()

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_protocol(self, protocol: object) -> None: ...

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 50_000) if name in ("peername", "sockname") else None


def connected(handle: Callable[[HttpRequest], Awaitable[HttpReply]], line: Line) -> Connection:
    async def ready() -> None: ...

    made = Connection(serving(handle, Settings(), ready), asyncio.get_running_loop())
    made.connection_made(line)
    return made


async def heard(raw: Sequence[bytes]) -> list[HttpRequest]:
    """The requests that our server makes of these bytes."""
    found: list[HttpRequest] = []

    async def take(request: HttpRequest) -> HttpReply:
        found.append(request)
        return HttpReply()

    line = Line()
    connection = connected(take, line)
    for one in raw:
        line.answered.clear()
        connection.data_received(one)
        await line.answered.wait()
    return found


async def cost(seconds: float, once: Callable[[], Awaitable[Any]], each: int = 1) -> float:
    """Microseconds of this thread's CPU for one: the best of five."""
    await once()
    best = float("inf")
    for _ in range(5):
        end, count = time.perf_counter() + seconds / 5, 0
        begun = time.thread_time()
        while time.perf_counter() < end:
            await once()
            count += each
        best = min(best, (time.thread_time() - begun) / count)
    return best * 1e6


async def http_cost(seconds: float, raw: Sequence[bytes], reply: HttpReply) -> float:
    async def answer(request: HttpRequest) -> HttpReply:
        return HttpReply(status=reply.status, headers=reply.headers, body=body)

    body = reply.body if isinstance(reply.body, bytes) else b"".join([b async for b in reply.body])
    line, turn = Line(), itertools.cycle(raw)
    connection = connected(answer, line)

    async def once() -> None:
        line.answered.clear()
        connection.data_received(next(turn))
        await line.answered.wait()

    return await cost(seconds, once)


async def hops(node: Node, raw: Sequence[bytes], seconds: float, profile: bool) -> dict[str, float]:
    platform, catalog = node.platform, node.platform.catalog
    requests = await heard(raw)
    turn = itertools.cycle(requests)
    request = requests[0]

    async def together() -> None:
        await asyncio.gather(*[node.gateway.handle(next(turn)) for _ in range(TOGETHER)])

    reply = await node.gateway.handle(request)
    assert reply.status == 200, reply
    found = {"http": await http_cost(seconds, raw, reply)}
    found["handle"] = await cost(seconds, together, TOGETHER)
    if profile:
        await profiled(together)
    router = Router({name: s.model for name, s in catalog.services.items()})
    route = router.route(request)
    wire = catalog.wire(route.service)
    protocol = wire.protocol_of(request)
    rest = protocol.startswith("rest")
    name, labels = (rest and wire.match(request)) or (wire.operation_of(request, protocol), {})
    assert name is not None
    operation, declared = wire.operation(name), catalog.operation(route.service, name)
    assert declared is not None
    who = await platform.access.authenticate(platform.store, request, platform.wall.now())
    asked = operation.parse(request, protocol, labels)
    call = platform.call(who.principal, operation=f"{route.service}:{name}")
    output = await platform.run(route.service, name, declared, asked, call)

    async def routed() -> None:
        router.route(request)
        wire.protocol_of(request)
        if rest:
            wire.match(request)
        else:
            wire.operation_of(request, protocol)

    async def authenticated() -> None:
        await platform.access.authenticate(
            platform.store, request, platform.wall.now(), service=catalog.prefix(route.service)
        )

    async def parsed() -> None:
        operation.parse(request, protocol, labels)

    async def decided() -> None:
        resource = declared.on(call, asked) if declared.on else "*"
        action = f"{catalog.prefix(route.service)}:{declared.action or name}"
        await platform.store.read(platform.authorize, call, action, resource, {})

    async def replied() -> None:
        operation.reply(protocol, output, call.request_id)

    under = (routed, authenticated, parsed, decided, replied)
    names = ("route", "signature", "parse", "decide", "reply")
    for hop, once in zip(names, under, strict=True):
        found[hop] = await cost(seconds / 2, once)
    found["run"] = found["handle"] - sum(found[hop] for hop in names)
    return found


async def profiled(once: Callable[[], Awaitable[None]]) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(100):
        await once()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(45)


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Node, Endpoint]]:
    """A node that listens, for boto3 to prepare what is measured."""
    settings = Settings(port=0, data=folder)
    node = Node(settings, open_store(settings, folder), folder)
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def say_ready() -> None:
        ready.set_result(None)

    server = serving(node.gateway.handle, settings, say_ready)
    node.door = server.open_door
    await node.start()
    serve = asyncio.create_task(server.serve())
    await ready
    try:
        yield node, Endpoint(server.port)
    finally:
        server.ask_to_stop()
        await serve
        await node.stop()


async def main(arguments: argparse.Namespace) -> None:
    wanted = (
        arguments.work.split(",")
        if arguments.work
        else [w for w in WORKS if w not in ("lambda_warm", "sns_fanout3")]
    )
    print("| us of CPU | " + " | ".join(COLUMNS) + " |\n|---|" + "---:|" * len(COLUMNS))
    with tempfile.TemporaryDirectory(prefix="skyfold-bench-") as folder:
        async with served(Path(folder)) as (node, endpoint):
            for name in wanted:
                asked = await asyncio.to_thread(WORKS[name], endpoint)
                await asyncio.sleep(2)  # until the caches of access have settled
                raw = [endpoint.signed(one) for one in asked]
                found = await hops(node, raw, arguments.seconds, arguments.profile)
                cells = [f"{found[column]:.1f}" for column in COLUMNS]
                print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", default="")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each hop is measured")
    parser.add_argument("--profile", action="store_true", help="and where the time goes in handle")
    uvloop.run(main(parser.parse_args()))
