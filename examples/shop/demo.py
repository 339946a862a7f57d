#!/usr/bin/env python3
"""Deploy the shop, send it orders, kill the server in the middle, and prove that none was lost.

    make demo            or        python examples/shop/demo.py [--orders 500] [--clients 8]

Runs the server on a free port with its state in a folder of its own, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from prices import cost_of
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

HERE = Path(__file__).parent
CATCH_UP_SECONDS_MAX = 180
START_SECONDS_MAX = 30
console = Console(highlight=False, soft_wrap=True)


class Server:
    """`skyfold up` as a process of its own, started again on the same folder after a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until it answers."""
        began = time.perf_counter()
        command = [sys.executable, "-m", "skyfold", "up", "--no-hooks"]
        options = ["--port", str(self.port), "--data", str(self.folder / "state")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        while time.perf_counter() - began < START_SECONDS_MAX:
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.endpoint}/_skyfold/health", timeout=1).close()
                return time.perf_counter() - began
            except OSError:
                time.sleep(0.01)
        raise SystemExit("The server did not start:\n" + (self.folder / "server.log").read_text())

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush, nothing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def command(self, *words: str) -> Any:
        """A `skyfold` command against this server; its JSON."""
        environment = {**os.environ, "SKYFOLD_ENDPOINT": self.endpoint, "AWS_REGION": "us-east-1"}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            environment.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-m", "skyfold", *words, "--json"],
            capture_output=True,
            text=True,
            env=environment,
        )
        if done.returncode:
            raise SystemExit(f"skyfold {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 8}),
        )


class Answer(NamedTuple):
    order_id: str
    ms: float
    attempts: int


class Shoppers:
    """Clients that send orders at once, and send one again that got no answer."""

    def __init__(self, url: str, orders: int, clients: int, progress: Progress) -> None:
        self._url, self._progress = url, progress
        self._task = progress.add_task("orders answered", total=orders)
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(orders):
            self._waiting.put(number)
        self.answered: list[Answer] = []
        self.broken = 0
        self._threads = [threading.Thread(target=self._shop) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _shop(self) -> None:
        while True:
            try:
                number = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._send(number)

    def _send(self, number: int) -> None:
        order_id = f"order-{number:05d}"
        lines = [{"sku": f"tea-{number % 17}", "quantity": 1 + number % 4}]
        body = json.dumps({"id": order_id, "lines": lines}).encode()
        for attempt in range(1, 1000):
            began = time.perf_counter()
            request = urllib.request.Request(
                self._url, data=body, headers={"content-type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()
                took = (time.perf_counter() - began) * 1000
                self.answered.append(Answer(order_id, took, attempt))
                self._progress.advance(self._task)
                return
            except OSError:  # refused, reset, 5xx: the server is down or coming up
                self.broken += 1
                time.sleep(0.05)
        raise SystemExit(f"{order_id} was never accepted")


class Found(NamedTuple):
    """The orders that each end of the pipeline has."""

    table: set[str]
    warehouse: set[str]
    archive: set[str]
    receipts: set[str]

    def least(self) -> int:
        return min(len(end) for end in self)


def look(server: Server, outputs: dict[str, str]) -> Found:
    dynamodb, s3 = server.client("dynamodb"), server.client("s3")

    def ids(table: str) -> set[str]:
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=table, ProjectionExpression="id", ConsistentRead=True
        )
        return {item["id"]["S"] for page in pages for item in page["Items"]}

    def keys(prefix: str) -> set[str]:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=outputs["Archive"], Prefix=prefix
        )
        return {Path(o["Key"]).stem for page in pages for o in page.get("Contents", [])}

    return Found(
        ids(outputs["OrderTable"]),
        ids(outputs["ShipmentTable"]),
        keys("orders/"),
        keys("receipts/"),
    )


def catch_up(
    server: Server, outputs: dict[str, str], wanted: set[str], progress: Progress
) -> Found:
    """Wait until every end has every order, or for as long as that may take."""
    task = progress.add_task("through the pipeline", total=len(wanted))
    until = time.monotonic() + CATCH_UP_SECONDS_MAX
    while True:
        found = look(server, outputs)
        progress.update(task, completed=found.least())
        if all(wanted <= end for end in found) or time.monotonic() > until:
            return found
        time.sleep(0.3)


def bar() -> Progress:
    return Progress(
        TextColumn("  {task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="skyfold-demo-"))
    server = Server(folder)
    try:
        return run(server, options.orders, options.clients)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(server: Server, orders: int, clients: int) -> int:
    ready = server.start()
    console.print(f"[bold]Skyfold[/bold] at {server.endpoint}, ready in {ready * 1000:.0f} ms")
    began = time.perf_counter()
    deployed = server.command("deploy", str(HERE), "--stack-name", "shop")
    outputs = deployed["outputs"]
    console.print(f"Stack shop: {deployed['status']} in {time.perf_counter() - began:.1f} s")
    url = f"{server.endpoint}/_aws/execute-api/{outputs['ApiId']}/orders"
    console.print(f"Sending {orders} orders from {clients} clients to {url}")
    with bar() as progress:
        shoppers = Shoppers(url, orders, clients, progress)
        began = time.perf_counter()
        shoppers.start()
        while len(shoppers.answered) < orders * 2 // 5:
            time.sleep(0.002)
        server.kill()
        before = len(shoppers.answered)
        progress.console.print(f"  [red]SIGKILL[/red] after {before} answered orders")
        back = server.start()
        progress.console.print(f"  back after {back * 1000:.0f} ms")
        shoppers.join()
        took = time.perf_counter() - began
        wanted = {answer.order_id for answer in shoppers.answered}
        found = catch_up(server, outputs, wanted, progress)
    return report(server, shoppers, wanted, found, took)


def report(server: Server, shoppers: Shoppers, wanted: set[str], found: Found, took: float) -> int:
    lost = {name: sorted(wanted - end) for name, end in found._asdict().items()}
    latencies = sorted(answer.ms for answer in shoppers.answered)
    retried = sum(answer.attempts > 1 for answer in shoppers.answered)
    console.print()
    console.print(
        f"{len(wanted)} orders answered with 2xx in {took:.1f} s "
        f"({retried} sent again, {shoppers.broken} broken attempts)"
    )
    p = statistics.quantiles(latencies, n=100)
    console.print(f"latency: p50 {p[49]:.1f} ms, p95 {p[94]:.1f} ms, p99 {p[98]:.1f} ms")
    for name, end in found._asdict().items():
        missing = len(lost[name])
        mark = "[green]none lost[/green]" if not missing else f"[red]{missing} LOST[/red]"
        console.print(f"  {name:<10} {len(wanted & end):>6} of {len(wanted)}  {mark}")
    usage = json.load(urllib.request.urlopen(f"{server.endpoint}/_skyfold/usage"))["usage"]
    rows = cost_of(usage)
    total = sum(row.dollars for row in rows)
    console.print(f"\nAt AWS's list prices (us-east-1, no free tier) this run cost ${total:.6f}:")
    for row in rows:
        if row.dollars >= 0.0000005:
            what = f"{row.service}: {row.usage_type}"
            console.print(f"  ${row.dollars:.6f}  {what:<44} {row.quantity:,.2f} {row.unit}")
    console.print(
        "\nLook around: the template is examples/shop/template.yaml; start a cloud that stays with "
        "`skyfold up`,\ndeploy with `skyfold deploy examples/shop`, follow a function with "
        "`skyfold logs NAME --follow`."
    )
    return 1 if any(lost.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
