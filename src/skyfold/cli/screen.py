"""What a person sees: tables and progress on a terminal, plain lines elsewhere, JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class Screen:
    """Where commands write. ``data`` is for machines when ``--json`` was asked for."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.terminal = sys.stdout.isatty() and not as_json

    def say(self, text: str) -> None:
        """A line for people; silent with --json."""
        if not self.as_json:
            print(text, flush=True)

    def data(self, value: object) -> None:
        """The result for machines; silent without --json."""
        if self.as_json:
            print(json.dumps(value, indent=2, default=str), flush=True)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        lines = [[str(cell) for cell in row] for row in rows]
        if self.as_json:
            return
        if self.terminal:
            from rich.console import Console
            from rich.table import Table

            drawn = Table(*head, box=None, pad_edge=False, header_style="bold")
            for line in lines:
                drawn.add_row(*line)
            Console().print(drawn)
            return
        for line in [list(head), *lines]:
            print("\t".join(line), flush=True)


class StackProgress:
    """A stack operation as it goes: a bar on a terminal, a line for each event elsewhere."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._screen, self._total = screen, total
        self._states: dict[str, str] = {}
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> StackProgress:
        if self._screen.terminal:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._bar.start()
            self._task = self._bar.add_task("deploying", total=self._total)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, event: Mapping[str, Any]) -> None:
        name, status = event["LogicalResourceId"], event["ResourceStatus"]
        reason = event.get("ResourceStatusReason", "")
        self._states[name] = status
        failed = "FAILED" in status
        if self._bar is None:
            line = f"{status:36} {event['ResourceType']:36} {name}"
            self._screen.say(f"{line}  {reason}" if failed or "Skyfold" in reason else line)
            return
        done = sum(
            state.endswith("_COMPLETE") for key, state in self._states.items() if key != name
        ) + status.endswith("_COMPLETE")
        self._bar.update(self._task, completed=min(done, self._total), description=name)
        if failed:
            self._bar.console.print(f"[red]{status}[/red] {name}: {reason}")
