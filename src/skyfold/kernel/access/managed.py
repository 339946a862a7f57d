"""The policies that AWS manages, as far as their documents are known here."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from hashlib import sha256
from importlib import resources
from typing import Any

PREFIX = "arn:aws:iam::aws:policy"


def managed_document(arn: str) -> str | None:
    """The document of ``arn:aws:iam::aws:policy/...``, or None where it is not known."""
    found = managed().get(arn)
    return None if found is None else str(found["document"])


@functools.cache
def managed() -> Mapping[str, Mapping[str, Any]]:
    """Every policy that AWS manages, by ARN: name, path, id, description, document (JSON text)."""
    text = (resources.files(__package__) / "managed_policies.json").read_text()
    found = {}
    for name, entry in json.loads(text).items():
        path, _, short = name.rpartition("/")
        path = f"/{path}/" if path else "/"
        document = {"Version": "2012-10-17", "Statement": entry["statement"]}
        found[f"{PREFIX}{path}{short}"] = {
            "name": short,
            "path": path,
            "id": "ANPA" + base64.b32encode(sha256(name.encode()).digest()).decode()[:17],
            "description": entry["description"],
            "document": json.dumps(document, indent=4),
        }
    return found
