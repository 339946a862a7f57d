"""How long the sandboxes take: cold and warm invocations per runtime, and a burst.

    python bench/compute.py [--runs 40] [--burst 50] [runtime ...]

Times are of the Supervisor alone, from the call of ``invoke`` to its outcome, isolation on;
HTTP, signatures and the Lambda service come on top. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from skyfold.compute.api import FunctionSpec
from skyfold.compute.supervisor import Supervisor

PACKAGES = {
    "hello-py": ("index.py", "def handler(event, context):\n    return event\n"),
    "boto-py": (
        "index.py",
        "import boto3\nboto3.client('s3')\ndef handler(event, context):\n    return event\n",
    ),
    "hello-cjs": ("index.js", "exports.handler = async (event) => event;\n"),
    "hello-esm": ("index.mjs", "export const handler = async (event) => event;\n"),
}


def write(folder: Path) -> None:
    folder.chmod(0o755)
    for name, (file, text) in PACKAGES.items():
        (folder / name).mkdir()
        (folder / name / file).write_text(text)


def spec(folder: Path, name: str, runtime: str, key: object) -> FunctionSpec:
    return FunctionSpec(
        key=f"{name}-{runtime}-{key}",
        arn="arn:aws:lambda:us-east-1:000000000000:function:bench",
        name="bench",
        version="$LATEST",
        runtime=runtime,
        handler="index.handler",
        code=folder / name,
        memory_mb=512,
        timeout_s=30,
    )


def say(what: str, seconds: list[float]) -> None:
    times = sorted(one * 1000 for one in seconds)
    p95 = times[int(len(times) * 0.95)]
    print(
        f"{what:44} p50 {statistics.median(times):8.3f} ms  p95 {p95:8.3f}  min {times[0]:8.3f}",
        flush=True,
    )


async def cold(computer: Supervisor, folder: Path, name: str, runtime: str, runs: int) -> None:
    times = []
    for run in range(runs):
        one = spec(folder, name, runtime, run)
        await asyncio.sleep(0.25)  # the pool fills up again, as between real cold starts
        began = time.perf_counter()
        outcome = await computer.invoke(one, b"{}", request_id="bench")
        times.append(time.perf_counter() - began)
        assert outcome.ok, outcome
        await computer.drop(one.key)
    say(f"{runtime} {name} cold, parked", times[2:])


async def warm(computer: Supervisor, folder: Path, name: str, runtime: str) -> None:
    one = spec(folder, name, runtime, "warm")
    event = b'{"key": "' + b"x" * 230 + b'"}'
    times = []
    for _ in range(3000):
        began = time.perf_counter()
        await computer.invoke(one, event, request_id="bench")
        times.append(time.perf_counter() - began)
    say(f"{runtime} {name} warm", times[200:])
    await computer.drop(one.key)


async def burst(computer: Supervisor, folder: Path, name: str, runtime: str, count: int) -> None:
    await asyncio.sleep(0.5)
    one = dataclasses.replace(spec(folder, name, runtime, "burst"))
    began = time.perf_counter()
    invocations = (computer.invoke(one, b"{}", request_id="bench") for _ in range(count))
    outcomes = await asyncio.gather(*invocations)
    took = time.perf_counter() - began
    assert all(outcome.ok for outcome in outcomes), str(outcomes)
    print(f"{runtime} {count} cold at once{'':20} last {took * 1000:8.1f} ms", flush=True)
    await computer.drop(one.key)


async def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write(folder)
        computer = Supervisor(roots=(folder,))
        await computer.start()
        try:
            print("\n".join(computer.describe()))
            for runtime in arguments.runtimes:
                began = time.perf_counter()
                await computer.prepare(runtime, spec(folder, "hello-py", runtime, 0))
                say(f"{runtime} spawner", [time.perf_counter() - began])
                python = runtime.startswith("python")
                for name in ("hello-py", "boto-py") if python else ("hello-cjs", "hello-esm"):
                    await cold(computer, folder, name, runtime, arguments.runs)
                    await warm(computer, folder, name, runtime)
                if python:
                    await burst(computer, folder, "hello-py", runtime, arguments.burst)
        finally:
            await computer.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runtimes", nargs="*", default=["python3.11", "nodejs20.x", "nodejs24.x"])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--burst", type=int, default=50)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    arguments = parser.parse_args()
    if arguments.loop == "uvloop":
        import uvloop

        uvloop.run(run(arguments))
    else:
        asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
