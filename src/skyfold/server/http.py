"""HTTP in and out: uvicorn's connections, our limits, requests and replies as plain values."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from skyfold.base.errors import AwsError
from skyfold.base.settings import Settings
from skyfold.kernel.http import Handler, HttpReply, HttpRequest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

COLLECT_BYTES_MAX = 256 * 1024
"""Bodies up to here are collected before anything looks at them; larger ones stay streams."""
MEMORY_BYTES_MAX = 128 * 1024 * 1024
"""What an operation may read of a body into memory: more than Lambda's 70 MB of base64 code."""
HEADER_BYTES_MAX = 64 * 1024
IDLE_SECONDS_MAX = 60
"""A connection in the middle of a request that sends nothing for so long is closed."""


class EntityTooLarge(AwsError):
    status = 413
    message = "Your proposed upload exceeds the maximum allowed size"


class IncompleteBody(AwsError):
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header."


class IncomingBody:
    """A request body as it arrives."""

    def __init__(self, first: bytes, receive: Receive, length: int | None) -> None:
        self._first, self._receive, self.length = first, receive, length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
            self._first = b""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise IncompleteBody
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                yield piece

    async def read(self) -> bytes:
        if self.length is not None and self.length > MEMORY_BYTES_MAX:
            raise EntityTooLarge
        pieces, size = [], 0
        async for piece in self:
            size += len(piece)
            if size > MEMORY_BYTES_MAX:
                raise EntityTooLarge
            pieces.append(piece)
        return b"".join(pieces)


class App:
    """The ASGI application: one handler for everything."""

    def __init__(self, handle: Handler, body_bytes_max: int) -> None:
        self._handle, self._body_bytes_max = handle, body_bytes_max

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1002})
            return
        request = request_of(scope)
        length = request.headers.get("content-length")
        if length is not None and (not length.isdecimal() or int(length) > self._body_bytes_max):
            await respond(send, HttpReply(status=413, body=b"The request body is too large."))
            return
        await self._take_body(request, receive, None if length is None else int(length))
        if request.headers.get("expect") and request.stream is None and length is None:
            request.body = b""
        await respond(send, await self._handle(request))

    async def _take_body(self, request: HttpRequest, receive: Receive, length: int | None) -> None:
        if length == 0 or (length is None and "transfer-encoding" not in request.headers):
            request.gone = _disconnect(receive)
            return
        if length is not None and length > COLLECT_BYTES_MAX:
            request.stream = IncomingBody(b"", receive, length)
            return
        message = await receive()
        body, more = message.get("body", b""), message.get("more_body", False)
        while more and len(body) <= COLLECT_BYTES_MAX:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if more:
            request.stream = IncomingBody(body, receive, length)
        else:
            request.body = body
            request.gone = _disconnect(receive)


def _disconnect(receive: Receive) -> Callable[[], Awaitable[None]]:
    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    return gone


def request_of(scope: Message) -> HttpRequest:
    """The head of an ASGI request."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    client = scope.get("client")
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        raw_headers=scope["headers"],
        scheme=scope["scheme"],
        client=client[0] if client else "127.0.0.1",
    )


async def respond(send: Send, reply: HttpReply) -> None:
    """Send a reply; a stream that fails midway breaks the connection, so that nobody is fooled."""
    body = reply.body
    headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in reply.headers]
    if isinstance(body, bytes):
        if not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    async for piece in body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class Protocol(HttpToolsProtocol):
    """uvicorn's connection with limits on headers and on silence in the middle of a request."""

    _header_bytes = 0
    _heard_at = 0.0
    _in_request = True

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._heard_at = self.loop.time()
        self.loop.call_later(IDLE_SECONDS_MAX, self._check_silence)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._header_bytes, self._in_request = 0, True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        self._in_request = False
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEADER_BYTES_MAX:
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.transport.close()
            raise ValueError("header fields too large")

    def _check_silence(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self._in_request and self.loop.time() - self._heard_at >= IDLE_SECONDS_MAX:
            self.transport.close()
            return
        self.loop.call_later(IDLE_SECONDS_MAX, self._check_silence)


def serving(
    handle: Handler,
    settings: Settings,
    ready: Callable[[], Awaitable[None]],
    *,
    patience_s: int = 2,
) -> Server:
    """The server for ``handle``; ``patience_s`` is what requests get to end when it stops."""
    config = uvicorn.Config(
        App(handle, settings.body_bytes_max),
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=1024,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=patience_s,
    )
    return Server(config, ready)


class Server(uvicorn.Server):
    """uvicorn's server, whose signals are ours."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            await self._ready()

    def open_door(self, listener: socket.socket) -> Callable[[], None]:
        """Serve on one more listening socket (a sandbox's); call what is returned to close it."""
        opening = asyncio.ensure_future(self._open(listener))

        def close() -> None:
            opening.cancel()
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().close()
            listener.close()

        return close

    async def _open(self, listener: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()

        def connection() -> Protocol:
            return Protocol(
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )

        return await loop.create_server(connection, sock=listener)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def ask_to_stop(self) -> None:
        """Finish what is being answered; asked twice, do not wait for it."""
        self.force_exit = self.should_exit
        self.should_exit = True
