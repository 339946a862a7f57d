"""Packages written on the fly, and a supervisor to run them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

from skyfold.compute.api import FunctionSpec, Outcome
from skyfold.compute.supervisor import Supervisor

_keys = itertools.count(1)
_requests = itertools.count(1)


class Workshop:
    """Writes functions below one folder and invokes them."""

    def __init__(self, folder: Path, supervisor: Supervisor) -> None:
        self.folder, self.supervisor = folder, supervisor

    def package(self, **files: str) -> Path:
        """A folder of files; ``__`` in a name stands for ``/`` and ``_`` before the end for ``.``:
        use ``files`` for anything else."""
        return self.files(
            {name.replace("__", "/").replace("_", "."): files[name] for name in files}
        )

    def files(self, files: dict[str, str]) -> Path:
        folder = self.folder / f"package-{next(_keys)}"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if text.startswith("#!"):
                path.chmod(0o755)
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
        return folder

    def spec(self, code: Path, runtime: str, **settings: Any) -> FunctionSpec:
        base = FunctionSpec(
            key=f"key-{next(_keys)}",
            arn="arn:aws:lambda:us-east-1:000000000000:function:fn",
            name="fn",
            version="$LATEST",
            runtime=runtime,
            handler="index.handler",
            code=code,
            log_group="/aws/lambda/fn",
            log_stream="2026/01/01/[$LATEST]abc",
            timeout_s=10,
        )
        return dataclasses.replace(base, **settings)

    async def invoke(self, spec: FunctionSpec, event: object = None, **more: Any) -> Outcome:
        request_id = more.pop("request_id", f"request-{next(_requests)}")
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        return await self.supervisor.invoke(spec, raw, request_id=request_id, **more)

    def python(self, source: str, runtime: str = "python3.11", **settings: Any) -> FunctionSpec:
        return self.spec(self.files({"index.py": source}), runtime, **settings)


def value(outcome: Outcome) -> Any:
    """What the handler returned."""
    assert outcome.ok, outcome
    return json.loads(outcome.payload)


def error(outcome: Outcome) -> Any:
    assert not outcome.ok, outcome
    return json.loads(outcome.payload)
