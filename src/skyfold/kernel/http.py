"""A request and a reply as plain values: what the server hands in and takes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec


class Body(Protocol):
    """A request body that may be larger than memory: read once, in pieces or whole."""

    length: int | None
    """Bytes announced by Content-Length (decoded length for aws-chunked), if any."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self) -> bytes:
        """All of it. Raises EntityTooLarge past the limit for bodies in memory."""


class HttpRequest(msgspec.Struct, kw_only=True):
    """One HTTP request. ``path`` is raw: percent-encoded as it came, without the query."""

    method: str
    path: str
    query: str = ""
    """The raw query string, without the question mark."""
    headers: dict[str, str]
    """Names in lower case; values of a repeated header joined with commas."""
    raw_headers: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
    body: bytes = b""
    stream: Body | None = None
    """Set instead of ``body`` where the body was too large to collect at the door."""
    scheme: str = "http"
    client: str = "127.0.0.1"
    gone: Callable[[], Awaitable[None]] | None = None
    """Waits until the client has hung up: for polls that should not take what nobody receives."""

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


Stream = AsyncIterator[bytes]


class HttpReply(msgspec.Struct, kw_only=True):
    """One HTTP reply; a stream is sent chunked unless ``headers`` announce its length."""

    status: int = 200
    headers: list[tuple[str, str]] = msgspec.field(default_factory=list)
    body: bytes | Stream = b""


Handler = Callable[[HttpRequest], Awaitable[HttpReply]]
