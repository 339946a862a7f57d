"""The repository keeps its own rules: these tests read the source, they do not run it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyfold.kernel.catalog import Catalog, snake
from skyfold.kernel.service import Service
from skyfold.server.discovery import discover

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "skyfold"
SERVICES = discover()
FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 600
SERVICE_LINES_MAX = 160

PARTS = {
    "__init__.py", "service.py", "tables.py", "errors.py", "limits.py", "usage.py", "shapes.py",
    "resources.py", "deliveries.py", "jobs.py", "operations", "engine",
}  # fmt: skip
"""What every service folder is made of."""
OWN_PARTS = {
    "cloudformation": {"deploy", "callbacks.py"},  # stack operations; answers of custom resources
    "apigatewayv2": {"serving.py"},  # the data plane
    "lambda_": {
        "running.py",
        "polling.py",
        "downloads.py",
    },  # sandboxes, pollers, GetFunction's link
}
"""Parts that only one service has, each for its reason."""


def modules(under: Path = SOURCE) -> list[Path]:
    return sorted(path for path in under.rglob("*.py") if path.name != "__init__.py")


def named(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", modules(), ids=named)
def test_modules_and_functions_fit_in_the_head(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    for function in functions(ast.parse(text)):
        lines = (function.end_lineno or 0) - function.lineno
        assert lines <= FUNCTION_LINES_MAX, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("path", modules(), ids=named)
def test_every_module_opens_with_a_sentence(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, "a module says what it is for"
    first = re.sub(r"\s*https://\S+$", "", said.split("\n\n")[0].rstrip())
    assert first.endswith((".", ":")), "a sentence ends with a full stop"


@pytest.mark.parametrize("path", modules(), ids=named)
def test_exemptions_name_what_they_exempt(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert not re.search(r"# type: ignore(?!\[)|# noqa(?!:)", line), line


def test_no_module_is_called_after_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [named(p) for p in SOURCE.rglob("*") if p.stem in nothing]


@pytest.mark.parametrize("name", SERVICES)
def test_services_have_the_one_shape(name: str) -> None:
    found = {p.name for p in (SOURCE / "services" / name).iterdir() if p.name != "__pycache__"}
    unknown = found - PARTS - OWN_PARTS.get(name, set())
    assert not {part for part in unknown if not part.endswith((".json", ".gz"))}
    assert {"service.py", "operations", "tables.py"} <= found or name in {"logs", "iam", "sts"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_declared_in_one_short_table(name: str) -> None:
    text = (SOURCE / "services" / name / "service.py").read_text()
    # A line for each operation is the point of the table: it is the rest that must stay short.
    assert len(text.splitlines()) <= SERVICE_LINES_MAX + 3 * len(SERVICES[name].operations)


@pytest.mark.parametrize("name", SERVICES)
def test_only_operations_that_aws_has_are_declared(name: str) -> None:
    known = set(Catalog(SERVICES).wire(name).operation_names)
    assert not set(SERVICES[name].operations) - known


def test_every_folder_of_services_is_a_service() -> None:
    folders = {p.name for p in (SOURCE / "services").iterdir() if p.is_dir()} - {"__pycache__"}
    assert folders == set(SERVICES)


def reply_members(function: ast.AST) -> Iterator[str]:
    """Of what the function returns; inner parts are built by ``reply`` too."""
    for node in ast.walk(function):
        call = node.value if isinstance(node, ast.Return) else None
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "reply":
            yield from (keyword.arg for keyword in call.keywords if keyword.arg)


@pytest.mark.parametrize("name", SERVICES)
def test_replies_use_only_members_that_the_model_has(name: str) -> None:
    service: Service = SERVICES[name]
    wire = Catalog(SERVICES).wire(name)
    outputs = {snake(called): wire.operation(called).output for called in service.operations}
    for path in modules(SOURCE / "services" / name / "operations"):
        for function in ast.parse(path.read_text()).body:
            if not isinstance(function, ast.AsyncFunctionDef) or function.name not in outputs:
                continue
            shape = outputs[function.name]
            members = set(shape.members) if shape is not None else set()
            for member in reply_members(function):
                assert member in members, f"{function.name} replies {member}"


WORDS = re.compile(r"(?i)\bhelper agent\b|\bsubagent\b|/work/(main|shared)|\b(TODO|FIXME|XXX)\b")


@pytest.mark.parametrize(
    "path",
    [
        p
        for pattern in ("*.md", "docs/**/*.md", "src/**/*.py", "examples/**/*.*", "bench/**/*.py")
        for p in ROOT.glob(pattern)
        if p.is_file() and "__pycache__" not in p.parts
    ],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_nothing_is_left_lying_about(path: Path) -> None:
    assert not WORDS.search(path.read_text())
