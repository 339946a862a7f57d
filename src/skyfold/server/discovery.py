"""Finding the services: a folder under ``services`` is one; there is no other list to keep."""

from __future__ import annotations

import importlib
import pkgutil

import skyfold.services
from skyfold.kernel.service import Service


def discover() -> dict[str, Service]:
    """Every declared service by its folder's name."""
    found = {}
    for folder in pkgutil.iter_modules(skyfold.services.__path__):
        module = importlib.import_module(f"skyfold.services.{folder.name}.service")
        found[folder.name] = module.SERVICE
    return found
