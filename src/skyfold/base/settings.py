"""What a person may set when starting the platform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_ACCOUNT = "000000000000"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Read from the command line and SKYFOLD_* by server/, then never changed."""

    host: str = "127.0.0.1"
    port: int = 4566
    data: Path | None = None
    """The data folder; None for an ephemeral cloud, whose state ends with the process."""
    durability: Literal["strict", "relaxed"] = "strict"
    """strict: an answer leaves after its write is on disk; relaxed: within a second."""
    engine: Literal["memory", "rocks", "postgres"] = "rocks"
    postgres: str = ""
    """The DSN, for the engine postgres."""
    region: str = "us-east-1"
    account: str = DEFAULT_ACCOUNT
    seeded_keys: bool = True
    """Whether test/test and 12-digit access keys work. Only ever on loopback."""
    isolation: str = ""
    """``require:N`` refuses to start below sandbox level N; ``none`` allows level 0."""
    body_bytes_max: int = 5 * 1024**3 + 1024**2
    """The largest request body, S3's 5 GiB for one part."""

    @property
    def endpoint(self) -> str:
        host = "localhost" if self.host in ("127.0.0.1", "0.0.0.0", "::1", "::") else self.host
        return f"http://{host}:{self.port}"
