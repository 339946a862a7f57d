"""What a hostile function cannot do, at each level that this machine can show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from skyfold.compute.api import IsolationRefused
from skyfold.compute.runtimes import Interpreter, Runtimes, discover
from skyfold.compute.supervisor import Supervisor
from tests.compute import attacks
from tests.compute.workshop import Workshop, error, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

SYSTEM_PYTHON = Path("/usr/bin/python3.11")
HAS_SYSTEM_PYTHON = SYSTEM_PYTHON.exists()
REPOSITORY = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lesser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    """A machine without namespaces, as in a container."""
    folder = tmp_path_factory.mktemp("lesser")
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)  # without mounts, any user must be able to walk to the code
    runtimes = await asyncio.to_thread(discover)
    if os.geteuid() == 0 and HAS_SYSTEM_PYTHON:
        system = Interpreter(SYSTEM_PYTHON, Path("/usr"), (3, 11))
        nodes = [runtimes.find("nodejs20.x")[1]] if "nodejs20.x" in runtimes.available() else []
        runtimes = Runtimes({11: system}, {one.version[0]: one for one in nodes})
    supervisor = Supervisor(roots=(folder,), level_most=1, runtimes=runtimes)
    try:
        await supervisor.start()
    except IsolationRefused as reason:
        pytest.skip(str(reason))
    yield Workshop(folder, supervisor)
    await supervisor.stop()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Things that are worth attacking."""
    secret = tmp_path / "secret"
    secret.write_text("key")
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    abstract = f"skyfold-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as service,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind("\0" + abstract)
        local.listen()
        yield {
            "secret": str(secret),
            "neighbour": str(neighbour),
            "platform": os.getpid(),
            "port": service.getsockname()[1],
            "lan": service.getsockname(),
            "abstract": abstract,
        }


async def attempt(workshop: Workshop, world: dict[str, Any], names: list[str]) -> dict[str, str]:
    spec = workshop.python(attacks.SOURCE, timeout_s=20)
    found: dict[str, str] = value(await workshop.invoke(spec, {"attacks": names, **world}))
    return found


def succeeded(found: dict[str, str]) -> dict[str, str]:
    return {name: what for name, what in found.items() if not what.startswith("refused")}


async def test_a_hostile_function_gets_nothing(workshop: Workshop, world: dict[str, Any]) -> None:
    if workshop.supervisor.level < 2:
        pytest.skip("namespaces are refused on this machine")
    names = [*attacks.EVERYWHERE, *attacks.WITH_NAMESPACES]

    found = await attempt(workshop, world, names)

    assert set(found) == set(names)
    assert succeeded(found) == {}


async def test_without_namespaces_files_processes_and_kernel_stay_closed(
    lesser: Workshop, world: dict[str, Any]
) -> None:
    found = await attempt(lesser, world, attacks.EVERYWHERE)

    assert lesser.supervisor.level == 1
    assert succeeded(found) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give sandboxes other users")
async def test_without_namespaces_sandboxes_of_root_have_a_user_of_their_own(
    lesser: Workshop,
) -> None:
    if not HAS_SYSTEM_PYTHON:
        pytest.skip("needs a Python that every user can reach")
    spec = lesser.python("import os\ndef handler(event, context):\n    return os.getuid()\n")

    assert value(await lesser.invoke(spec)) >= 200_000


async def test_only_its_own_processes_are_to_be_seen(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os\ndef handler(event, context):\n"
        "    return [[p for p in os.listdir('/proc') if p.isdigit()], os.getpid(), os.getuid(),\n"
        "            sorted(os.listdir('/')), os.listdir('/tmp'), os.listdir('/proc/self/fd')]\n"
    )

    processes, pid, uid, root, tmp, files = value(await workshop.invoke(spec))

    assert processes == ["1", "2"]
    assert pid == 2
    assert uid != 0
    assert set(root) <= {
        *("bin", "dev", "etc", "lib", "lib32", "lib64", "opt", "proc", "run", "sbin", "tmp"),
        *("usr", "var"),
    }
    assert tmp == []
    assert len(files) <= 6  # 0 to 2, the frames, its log, and the listing itself


async def test_two_sandboxes_have_different_users_and_cannot_meet(workshop: Workshop) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give each sandbox a user of its own")
    spec = workshop.python(
        "import os, time\ndef handler(event, context):\n"
        "    time.sleep(0.05)\n    return [os.getuid(), os.getgid(), os.getgroups()]\n"
    )

    one, two = await asyncio.gather(workshop.invoke(spec), workshop.invoke(spec))

    assert value(one)[0] != value(two)[0]
    assert value(one)[0] >= 200_000
    assert value(one)[1:] == [value(one)[0], []]


async def test_no_capability_is_left_in_any_set(workshop: Workshop) -> None:
    spec = workshop.python(
        "def handler(event, context):\n"
        "    lines = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
        "    return {k: lines[k].strip() for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd',"
        " 'CapAmb', 'NoNewPrivs', 'Seccomp')}\n"
    )

    assert value(await workshop.invoke(spec)) == {
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


async def test_the_runtime_of_node_is_locked_as_well(workshop: Workshop) -> None:
    if "nodejs20.x" not in workshop.supervisor.available_runtimes():
        pytest.skip("no Node.js is installed")
    code = workshop.files(
        {
            "index.js": "const fs = require('fs'), net = require('net');\n"
            "const attempt = (act) => { try { return act(); } catch (e) { return e.code; } };\n"
            "exports.handler = async (port) => [\n"
            "  attempt(() => fs.readFileSync('/etc/shadow')),\n"
            "  attempt(() => fs.writeFileSync('/var/task/x', '')),\n"
            "  attempt(() => fs.readFileSync('/proc/1/mem')),\n"
            "  attempt(() => process.setuid(0)),\n"
            "  await new Promise((done) => net.connect(port, '127.0.0.1', () => done('connected'))"
            ".on('error', (e) => done(e.code))),\n"
            "  /Seccomp:\\t2/.test(fs.readFileSync('/proc/self/status', 'utf8')),\n"
            "  process.getuid() !== 0];\n"
        }
    )
    with socket.create_server(("127.0.0.1", 0)) as service:
        outcome = await workshop.invoke(workshop.spec(code, "nodejs20.x"), service.getsockname()[1])

    assert value(outcome) == ["ENOENT", "EROFS", "EACCES", "EPERM", "ECONNREFUSED", True, True]


async def test_a_fork_bomb_stays_in_its_sandbox(workshop: Workshop) -> None:
    spec = workshop.python(
        "import os, time\ndef handler(event, context):\n"
        "    made = 0\n"
        "    try:\n"
        "        while made < 5000:\n"
        "            if os.fork() == 0: time.sleep(60)\n"
        "            made += 1\n"
        "    except OSError as error:\n        return [made, error.errno]\n"
        "    return [made, 0]\n",
        timeout_s=30,
        memory_mb=1024,
    )

    made, number = value(await workshop.invoke(spec))
    await workshop.supervisor.drop(spec.key)

    assert 500 < made <= 1024
    assert number == 11


async def test_tmp_is_full_at_its_size(workshop: Workshop) -> None:
    spec = workshop.python(
        "def handler(event, context):\n"
        "    written = 0\n"
        "    try:\n"
        "        with open('/tmp/big', 'wb', buffering=0) as file:\n"
        "            while written < 2000:\n                file.write(bytes(1 << 20))\n"
        "                written += 1\n"
        "    except OSError as error:\n        return [written, error.errno]\n",
        timeout_s=30,
    )

    written_mb, number = value(await workshop.invoke(spec))

    assert 500 <= written_mb <= 512
    assert number == 28


async def test_orphans_end_with_the_sandbox(workshop: Workshop) -> None:
    name = f"orphan-{os.getpid()}"
    spec = workshop.python(
        "import os, subprocess\ndef handler(event, context):\n"
        "    subprocess.Popen(['/bin/sh', '-c', 'sleep 600 & exec -a ' + event + ' sleep 600'],"
        " start_new_session=True)\n"
    )
    await workshop.invoke(spec, name)

    await workshop.supervisor.drop(spec.key)

    assert await disappears(name)


def commands() -> list[str]:
    """The command lines of all other processes."""
    found = []
    for pid in {int(one) for one in os.listdir("/proc") if one.isdigit()} - {os.getpid()}:
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_text())
    return found


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def disappears(name: str) -> bool:
    """Whether no process is called ``name`` any more, within a moment."""
    for _ in range(200):
        if not any(name in command for command in commands()):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_without_namespaces_orphans_end_as_well(lesser: Workshop) -> None:
    name = f"lesser-orphan-{os.getpid()}"
    spec = lesser.python(
        "import subprocess\ndef handler(event, context):\n"
        "    subprocess.Popen(['/bin/bash', '-c', 'exec -a ' + event + ' sleep 600'],"
        " start_new_session=True)\n"
    )
    await lesser.invoke(spec, name)

    await lesser.supervisor.drop(spec.key)

    assert await disappears(name)


async def test_without_namespaces_functions_run_all_the_same(lesser: Workshop) -> None:
    python = lesser.python(
        "import os, tempfile\ndef handler(event, context):\n"
        "    with tempfile.NamedTemporaryFile() as file: return [event, len(file.name) > 0]\n"
    )
    node = lesser.spec(
        lesser.files({"index.js": "exports.handler = async (event) => event;\n"}), "nodejs20.x"
    )

    assert value(await lesser.invoke(python, 1)) == [1, True]
    if "nodejs20.x" in lesser.supervisor.available_runtimes():
        assert value(await lesser.invoke(node, 2)) == 2


async def test_a_required_level_that_cannot_be_had_is_refused() -> None:
    supervisor = Supervisor(isolation="require:3", level_most=1)

    with pytest.raises(IsolationRefused, match="level 3 is required, and only level"):
        await supervisor.start()
    await supervisor.stop()


async def test_no_isolation_at_all_is_refused_unless_asked_for() -> None:
    refused = Supervisor(level_most=0)
    allowed = Supervisor(level_most=0, isolation="none")

    with pytest.raises(IsolationRefused, match="SKYFOLD_ISOLATION=none"):
        await refused.start()
    await refused.stop()
    await allowed.start()
    await allowed.stop()

    assert "level 0" in allowed.describe()[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.skipif(not HAS_SYSTEM_PYTHON, reason="needs a system Python 3.11")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
async def test_an_ordinary_user_gets_level_2(tmp_path: Path, world: dict[str, Any]) -> None:
    packages = Path(sys.prefix) / "lib/python3.11/site-packages"
    if sys.version_info[:2] != (3, 11):
        pytest.skip("needs packages for the system's Python")
    home = tempfile.mkdtemp(prefix="skyfold-home-", dir="/tmp")
    os.chown(home, 65_000, 65_000)
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--reuid=65000", "--regid=65000", "--clear-groups", "env", "-i"),
        f"PYTHONPATH={REPOSITORY / 'src'}:{REPOSITORY}:{packages}",
        *(f"HOME={home}", f"TMPDIR={home}", "PYTHONDONTWRITEBYTECODE=1"),
        *(str(SYSTEM_PYTHON), "-m", "tests.compute.as_user"),
        *(world["secret"], str(world["port"]), world["abstract"]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await process.communicate()
    shutil.rmtree(home, ignore_errors=True)

    assert process.returncode == 0, complaint.decode()
    assert out.decode().splitlines()[-1] == "level 2: hello, nothing got through"


async def test_killing_the_platform_leaves_no_process(tmp_path: Path) -> None:
    name = f"skyfold-victim-{os.getpid()}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.compute.victim", str(tmp_path), name),
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in (await process.stdout.readline()).split()]
    assert len(pids) >= 6  # spawners, processes 1, runtimes, and a child of a function

    process.kill()
    await process.wait()

    for pid in pids:
        for _ in range(200):
            if not lives(pid):
                break
            await asyncio.sleep(0.02)
        assert not lives(pid)


async def test_errors_of_a_function_do_not_show_the_platforms_files(workshop: Workshop) -> None:
    spec = workshop.python("def handler(event, context):\n    raise ValueError()\n")

    outcome = await workshop.invoke(spec)

    assert str(REPOSITORY).encode() not in outcome.log + outcome.payload
    assert error(outcome)["errorType"] == "ValueError"
