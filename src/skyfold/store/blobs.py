"""Large bodies as files beside the store: written and fsynced first, then named by a commit."""

from __future__ import annotations

from pathlib import Path


class Blobs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
