"""When sandboxes come and go, and what they share."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from skyfold.base.clock import VirtualClock
from skyfold.compute.api import ComputeError, Credentials, FunctionSpec, RuntimeMissing
from skyfold.compute.processes import family_of
from skyfold.compute.supervisor import Supervisor
from tests.compute.workshop import Workshop, error, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = (
    "count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n"
)


async def until(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_another_key_gets_another_sandbox(workshop: Workshop) -> None:
    spec = workshop.python(COUNT)
    changed = dataclasses.replace(spec, key=spec.key + "-changed")

    await workshop.invoke(spec)

    assert value(await workshop.invoke(spec)) == 2
    assert value(await workshop.invoke(changed)) == 1


async def test_a_dropped_key_begins_anew(workshop: Workshop) -> None:
    spec = workshop.python(COUNT)
    await workshop.invoke(spec)

    await workshop.supervisor.drop(spec.key)

    assert value(await workshop.invoke(spec)) == 1


async def test_a_key_that_is_dropped_while_it_runs_still_answers(workshop: Workshop) -> None:
    spec = workshop.python("import time\n" + COUNT.replace("count += 1", "time.sleep(0.1)"))
    started = asyncio.Event()
    spec = dataclasses.replace(spec, code=spec.code)
    running = asyncio.create_task(
        workshop.invoke(spec, on_phase=lambda phase: phase == "invoke" and started.set())
    )
    await started.wait()

    await workshop.supervisor.drop(spec.key)

    assert value(await running) == 0
    assert (await workshop.invoke(spec)).init_ms is not None


async def test_a_cancelled_invocation_ends_its_sandbox(workshop: Workshop) -> None:
    spec = workshop.python("import time\ndef handler(event, context):\n    time.sleep(event)\n")
    await workshop.invoke(spec, 0)
    running = asyncio.create_task(workshop.invoke(spec, 60))
    await asyncio.sleep(0)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await workshop.invoke(spec, 0)).init_ms is not None


async def test_credentials_are_asked_for_each_sandbox_and_renewed_before_they_end(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    asked = 0

    async def credentials() -> Credentials:
        nonlocal asked
        asked += 1
        return Credentials(f"key-{asked}", "secret", "token", clock.now() + 3_600_000)

    supervisor = Supervisor(roots=(tmp_path,), clock=clock)
    await supervisor.start()
    try:
        workshop = Workshop(tmp_path, supervisor)
        spec = workshop.python(
            "import os\ndef handler(event, context):\n"
            "    return [os.environ[n] for n in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY',"
            " 'AWS_SESSION_TOKEN')]\n",
            credentials=credentials,
        )

        first = await workshop.invoke(spec)
        second = await workshop.invoke(spec)
        clock.advance(3_599)
        renewed = await workshop.invoke(spec)
    finally:
        await supervisor.stop()

    assert value(first) == value(second) == ["key-1", "secret", "token"]
    assert value(renewed) == ["key-2", "secret", "token"]
    assert asked == 2


async def test_idle_sandboxes_end_after_their_time(tmp_path: Path) -> None:
    supervisor = Supervisor(roots=(tmp_path,), idle_s=0.2)
    await supervisor.start()
    try:
        workshop = Workshop(tmp_path, supervisor)
        marker = f"idle-{os.getpid()}"
        spec = workshop.python(
            "import ctypes\ndef handler(event, context):\n"
            "    ctypes.CDLL(None).prctl(15, event.encode())\n"
        )
        await workshop.invoke(spec, marker)

        def runs() -> bool:
            names = (Path(f"/proc/{pid}/comm") for pid in family_of(os.getpid()))
            return any(name.exists() and name.read_text().strip() == marker for name in names)

        assert runs()
        assert await until(lambda: not runs())
        assert (await workshop.invoke(spec, marker)).init_ms is not None
    finally:
        await supervisor.stop()


async def test_idle_sandboxes_hold_no_more_memory_than_allowed(tmp_path: Path) -> None:
    supervisor = Supervisor(roots=(tmp_path,), warm_mb=1)
    await supervisor.start()
    try:
        workshop = Workshop(tmp_path, supervisor)
        one, two = workshop.python(COUNT), workshop.python(COUNT)

        await workshop.invoke(one)
        await workshop.invoke(two)

        assert value(await workshop.invoke(two)) == 2
        assert value(await workshop.invoke(one)) == 1
    finally:
        await supervisor.stop()


async def test_nothing_runs_before_it_is_needed_and_nothing_is_left_after_stop(
    tmp_path: Path,
) -> None:
    before = set(family_of(os.getpid()))
    files = len(os.listdir("/proc/self/fd"))
    supervisor = Supervisor(roots=(tmp_path,))

    await supervisor.start()
    started = set(family_of(os.getpid())) - before
    workshop = Workshop(tmp_path, supervisor)
    outcomes = await asyncio.gather(*(workshop.invoke(workshop.python(COUNT)) for _ in range(3)))
    running = set(family_of(os.getpid())) - before
    await supervisor.stop()

    assert started == set()
    assert all(outcome.ok for outcome in outcomes)
    assert len(running) >= 7
    assert set(family_of(os.getpid())) - before == set()
    assert len(os.listdir("/proc/self/fd")) <= files
    with pytest.raises(ComputeError):
        await workshop.invoke(workshop.python(COUNT))


def groups() -> set[Path]:
    """The control groups that this process has made."""
    found = Path("/sys/fs/cgroup").glob(f"**/skyfold-{os.getpid()}-*")
    return {path for path in found if path.is_dir()}


async def test_no_control_group_and_no_file_is_left_after_stop(tmp_path: Path) -> None:
    before = groups()
    folder = tmp_path / "own"
    supervisor = Supervisor(folder, roots=(tmp_path,))
    await supervisor.start()
    workshop = Workshop(tmp_path, supervisor)
    await workshop.invoke(workshop.python(COUNT))

    await supervisor.stop()

    assert groups() <= before
    assert set(os.listdir(folder)) == {"layers", "root", "spawner.log"}
    assert (folder / "spawner.log").read_text() == ""


async def test_a_spawner_that_was_killed_is_replaced(tmp_path: Path) -> None:
    before = set(family_of(os.getpid()))
    supervisor = Supervisor(roots=(tmp_path,))
    await supervisor.start()
    try:
        workshop = Workshop(tmp_path, supervisor)
        spec = workshop.python(COUNT)
        await workshop.invoke(spec)
        spawner = next(pid for pid in family_of(os.getpid()) if pid not in before)

        os.kill(spawner, 9)
        assert await until(lambda: not set(family_of(os.getpid())) - before - {spawner})

        assert value(await workshop.invoke(spec)) == 1
    finally:
        await supervisor.stop()


async def test_code_outside_the_known_folders_is_found_as_well(
    workshop: Workshop, tmp_path: Path
) -> None:
    elsewhere = Workshop(tmp_path, workshop.supervisor)
    here = workshop.python(COUNT)
    await workshop.invoke(here)

    assert value(await elsewhere.invoke(elsewhere.python(COUNT))) == 1
    assert value(await workshop.invoke(here)) == 2


async def test_the_platform_is_reached_through_the_gateway(tmp_path: Path) -> None:
    closed: list[str] = []
    served: list[FunctionSpec] = []

    def on_gateway(listener: socket.socket, spec: FunctionSpec) -> Callable[[], None]:
        served.append(spec)
        server = asyncio.ensure_future(asyncio.start_server(answer, sock=listener))

        def close() -> None:
            closed.append(spec.key)
            server.result().close()

        return close

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        body = served[0].name.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    supervisor = Supervisor(roots=(tmp_path,), gateway_port=4566, on_gateway=on_gateway)
    await supervisor.start()
    try:
        workshop = Workshop(tmp_path, supervisor)
        spec = workshop.python(
            "import os, urllib.request\ndef handler(event, context):\n"
            "    url = os.environ['AWS_ENDPOINT_URL']\n"
            "    return [url, urllib.request.urlopen(url).read().decode()]\n"
        )

        outcome = await workshop.invoke(spec)
        await supervisor.drop(spec.key)

        assert value(outcome) == ["http://127.0.0.1:4566", "fn"]
        assert await until(lambda: closed == [spec.key])
    finally:
        await supervisor.stop()


async def test_an_init_that_takes_too_long_is_tried_again_within_the_timeout(
    tmp_path: Path,
) -> None:
    supervisor = Supervisor(roots=(tmp_path,), init_timeout_s=0.2)
    await supervisor.start()
    try:
        workshop = Workshop(tmp_path, supervisor)
        slow = workshop.python("import time\ntime.sleep(0.4)\n" + COUNT, timeout_s=5)
        stuck = workshop.python("import time\ntime.sleep(60)\n" + COUNT, timeout_s=0.3)

        late = await workshop.invoke(slow)
        never = await workshop.invoke(stuck, request_id="r-1")
    finally:
        await supervisor.stop()

    assert value(late) == 1
    assert late.duration_ms >= 400
    assert late.log.startswith(b"INIT_REPORT Init Duration: 2")
    assert b" ms\tPhase: init\tStatus: timeout\n" in late.log
    assert never.kind == "timeout"
    assert error(never)["errorMessage"] == (
        "RequestId: r-1 Error: Task timed out after 0.30 seconds"
    )


async def test_a_runtime_that_cannot_run_here_is_refused_by_name(workshop: Workshop) -> None:
    spec = workshop.spec(workshop.files({"data": ""}), "ruby3.4")

    with pytest.raises(RuntimeMissing, match=r"ruby3\.4 cannot run on this machine"):
        await workshop.invoke(spec)
    with pytest.raises(RuntimeMissing):
        await workshop.supervisor.prepare("java21")
