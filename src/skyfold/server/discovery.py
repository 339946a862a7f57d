"""Finding the services: a folder with a service.py is one; there is no other list to keep."""

from __future__ import annotations

import importlib
from pathlib import Path

import skyfold.services
from skyfold.kernel.service import Service


def discover() -> dict[str, Service]:
    """Every declared service by its folder's name."""
    found = {}
    for root in skyfold.services.__path__:
        for declared in sorted(Path(root).glob("*/service.py")):
            name = declared.parent.name
            found[name] = importlib.import_module(f"skyfold.services.{name}.service").SERVICE
    return found
