"""Service-linked roles: which service's role has which name."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple


class ServiceRole(NamedTuple):
    name: str
    description: str | None
    suffix: bool
    """Whether an account may have several, told apart by a suffix."""


@functools.cache
def service_roles() -> Mapping[str, ServiceRole]:
    """By the service's name, ``batch.amazonaws.com``."""
    text = (resources.files(__package__) / "service_roles.json").read_text()
    return {
        service: ServiceRole(entry["name"], entry.get("description"), entry.get("suffix", False))
        for service, entry in json.loads(text).items()
    }
