"""HTTP in and out: llhttp's parser, our limits, requests and replies as plain values.

Nothing stands between the parser and the handler. A small request is handed on when it is whole,
and its reply leaves in one write; bodies that are too large for that are streams both ways.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import httptools

from skyfold.base.errors import AwsError
from skyfold.base.settings import Settings
from skyfold.kernel.http import Handler, HttpReply, HttpRequest

log = logging.getLogger("skyfold.http")

COLLECT_BYTES_MAX = 256 * 1024
"""Bodies up to here are collected before anything looks at them; larger ones stay streams."""
MEMORY_BYTES_MAX = 128 * 1024 * 1024
"""What an operation may read of a body into memory: more than Lambda's 70 MB of base64 code."""
BACKLOG_BYTES_MAX = 1024 * 1024
"""Of a streamed body, what may wait for its reader before we stop reading from the line."""
HEADER_BYTES_MAX = 64 * 1024
ONE_WRITE_BYTES_MAX = 64 * 1024
"""Bodies up to here are copied behind their heads; copying more costs more than it saves."""
IDLE_SECONDS_MAX = 60
"""A connection in the middle of a request that sends nothing for so long is closed."""
KEPT_SECONDS_MAX = 75
"""A connection between two requests is kept for so long."""


class EntityTooLarge(AwsError):
    status = 413
    message = "Your proposed upload exceeds the maximum allowed size"


class IncompleteBody(AwsError):
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header."


class IncomingBody:
    """A request body as it arrives."""

    def __init__(self, connection: Connection, length: int | None, bytes_max: int) -> None:
        self.length = length
        self.unread = 0
        """Bytes that wait for the reader."""
        self._connection, self._left = connection, bytes_max
        self._pieces: deque[bytes] = deque()
        self._state = "open"
        self._arrived: asyncio.Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        if self._state != "open":
            return
        self._left -= len(piece)
        if self._left < 0:
            self.end("too large")
            return
        self._pieces.append(piece)
        self.unread += len(piece)
        self._wake()

    def end(self, state: str) -> None:
        """No more will come: ``whole``, ``cut`` short or ``too large``."""
        if self._state == "open":
            self._state = state
            self._wake()

    def discard(self) -> None:
        """Nobody reads on."""
        self._state, self.unread = "discarded", 0
        self._pieces.clear()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._connection.invite()
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self.unread -= len(piece)
                self._connection.pace()
                yield piece
            if self._state == "whole":
                return
            if self._state != "open":
                raise EntityTooLarge if self._state == "too large" else IncompleteBody
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived

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


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other, in their order."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._client = "127.0.0.1"
        self._url, self._head_bytes, self._in_head = b"", 0, False
        self._headers: list[tuple[bytes, bytes]] = []
        self._request: HttpRequest | None = None
        """The request whose body arrives, until it is handed on."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._body: IncomingBody | None = None
        """The body that arrives, where it is a stream."""
        self._keep_alive = True
        self._expects = False
        """The client sends the body of this request only when it is asked to."""
        self._receiving = self._ended = False
        self._queue: deque[tuple[HttpRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reads = True
        self._writable: asyncio.Future[None] | None = None
        self._gone: asyncio.Event | None = None
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- the line ------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._client = peer[0]
        self._server.connections.add(self)
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(IDLE_SECONDS_MAX, self._check_silence)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._hang_up()
        self.resume_writing()
        self._queue.clear()
        del self._parser  # it and we refer to each other

    def eof_received(self) -> bool:
        """Keep the line open for an answer that is being made."""
        self._hang_up()
        return self._task is not None

    def _hang_up(self) -> None:
        self._ended = True
        if self._body is not None:
            self._body.end("cut")
        if self._gone is not None:
            self._gone.set()

    async def gone(self) -> None:
        """Return when the client has hung up."""
        if self._gone is None:
            self._gone = asyncio.Event()
        if not self._ended:
            await self._gone.wait()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def invite(self) -> None:
        """Ask for the body of a client that waits to be asked."""
        if self._expects and not self._transport.is_closing():
            self._expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pace(self) -> None:
        """Read on from the line or stop, by what waits to be worked off."""
        reads = not self._queue and (self._body is None or self._body.unread <= BACKLOG_BYTES_MAX)
        if reads is self._reads or self._transport.is_closing():
            return
        self._reads = reads
        if reads:
            self._heard_at = self._loop.time()
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _check_silence(self) -> None:
        silent_s = self._loop.time() - self._heard_at
        stalled = self._receiving and self._reads and silent_s >= IDLE_SECONDS_MAX
        unused = not self._receiving and self._task is None and silent_s >= KEPT_SECONDS_MAX
        if stalled or unused:
            self._hang_up()
            self._transport.close()
            return
        self._timer = self._loop.call_later(IDLE_SECONDS_MAX, self._check_silence)

    # --- requests ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request is answered as if it had not asked, and the connection closed
        except httptools.HttpParserError:
            self._refuse(431 if self._head_bytes > HEADER_BYTES_MAX else 400)

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []
        self._head_bytes, self._in_head, self._receiving = 0, True, True

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if self._in_head:  # trailers are of no use to anybody
            self._headers.append((name.lower(), value))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEADER_BYTES_MAX:
            raise ValueError("header fields too large")

    def on_headers_complete(self) -> None:
        self._in_head = False
        request, parser = self._request_of_head(), self._parser
        headers = request.headers
        self._keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self._expects = "expect" in headers and headers["expect"].lower() == "100-continue"
        self._request, self._body, self._pieces, self._size = request, None, [], 0
        said = headers.get("content-length")
        if said is None or said == "0":
            if self._expects and "transfer-encoding" in headers:
                self.invite()
            return
        length = int(said)  # the parser lets only numbers pass
        if length > self._server.body_bytes_max:
            self._refuse(413)
        elif length > COLLECT_BYTES_MAX:
            self._stream(length)
        elif self._expects:
            self.invite()

    def _request_of_head(self) -> HttpRequest:
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._headers:
            name, value = _text(raw_name), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        url = self._url
        if url[:1] == b"/":
            path, _, query = url.partition(b"#")[0].partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            path, query = parsed.path or b"/", parsed.query or b""
        return HttpRequest(
            method=_text(self._parser.get_method()),
            path=path.decode("latin-1"),
            query=query.decode("latin-1"),
            headers=headers,
            raw_headers=self._headers,
            client=self._client,
            gone=self.gone,
        )

    def _stream(self, length: int | None) -> None:
        """Hand the request on before its body has come."""
        request = self._request
        assert request is not None
        self._body = request.stream = IncomingBody(self, length, self._server.body_bytes_max)
        for piece in self._pieces:
            self._body.feed(piece)
        self._request, self._pieces = None, []
        self._hand_on(request)

    def on_body(self, piece: bytes) -> None:
        if self._body is not None:
            self._body.feed(piece)
            self.pace()
        elif self._request is not None:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > COLLECT_BYTES_MAX:
                self._stream(None)

    def on_message_complete(self) -> None:
        self._receiving = False
        if self._body is not None:
            self._body.end("whole")
        request, self._request = self._request, None
        self._expects = False
        if request is not None:
            if pieces := self._pieces:
                request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._hand_on(request)

    def _refuse(self, status: int) -> None:
        """Turn away what cannot be read on."""
        self._receiving, self._request = False, None
        self._hang_up()
        if self._transport.is_closing():
            return
        if self._task is not None:
            self._transport.pause_reading()  # close behind the answer that is being made
            return
        self._transport.write(self._server.head(status, (("Content-Length", "0"),), False))
        self._transport.close()

    # --- replies -------------------------------------------------------------------------------

    def _hand_on(self, request: HttpRequest) -> None:
        if self._task is None:
            self._task = self._loop.create_task(self._answer(request, self._keep_alive))
        else:
            self._queue.append((request, self._keep_alive))
            self.pace()

    async def _answer(self, request: HttpRequest, keep_alive: bool) -> None:
        stream = request.stream
        try:
            reply = await self._server.handle(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            reply = HttpReply(status=500)
        if isinstance(stream, IncomingBody):
            stream.discard()
            self.pace()
            # A client that was not asked for the body it announced may send it, or may not.
            keep_alive = keep_alive and not self._expects
        if self._server.stopping or (self._ended and not self._queue):
            keep_alive = False
        try:
            if isinstance(reply.body, bytes):
                self._send(request, reply, reply.body, keep_alive)
            else:
                await self._send_stream(request, reply, reply.body, keep_alive)
        except Exception:  # a client must not take what was sent for the whole
            log.exception("The reply to %s %s failed", request.method, request.path)
            self._transport.abort()
        self._task = None
        self._after(keep_alive)

    def _after(self, keep_alive: bool) -> None:
        self._heard_at = self._loop.time()
        if not keep_alive:
            self._transport.close()
        elif self._queue:
            request, self._keep_alive = self._queue.popleft()
            self._task = self._loop.create_task(self._answer(request, self._keep_alive))
            self.pace()

    def _send(self, request: HttpRequest, reply: HttpReply, body: bytes, keep_alive: bool) -> None:
        if self._transport.is_closing():
            return
        length: int | None = len(body)
        bare = request.method == "HEAD" or reply.status in (204, 304)
        if bare and (reply.status == 204 or announced(reply) is not None):
            length = None
        head = self._server.head(reply.status, reply.headers, keep_alive, length)
        if bare or not body:
            self._transport.write(head)
        elif len(body) <= ONE_WRITE_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    async def _send_stream(
        self, request: HttpRequest, reply: HttpReply, body: AsyncIterator[bytes], keep_alive: bool
    ) -> None:
        """Send a body as it comes: in chunks, unless its length is announced."""
        left = announced(reply)
        coding = [("Transfer-Encoding", "chunked")] if left is None else []
        head = self._server.head(reply.status, [*reply.headers, *coding], keep_alive)
        try:
            if not self._transport.is_closing():
                self._transport.write(head)
            if request.method == "HEAD":
                return
            async for piece in body:
                if self._transport.is_closing():
                    return
                if left is not None:
                    left -= len(piece)
                    self._transport.write(piece)
                elif piece:
                    self._transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
                if self._writable is not None:
                    await self._writable
        finally:
            if (close := getattr(body, "aclose", None)) is not None:
                await close()
        if left:
            raise ValueError(f"the body is not as long as it was said to be: {left} bytes are left")
        if left is None and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")

    # --- the end -------------------------------------------------------------------------------

    def wind_up(self) -> None:
        """Close as soon as what is being answered has been."""
        if self._task is None:
            self._transport.close()

    def cut(self) -> asyncio.Task[None] | None:
        """Close at once; the task that was answering, to be waited for."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task


def announced(reply: HttpReply) -> int | None:
    """The length that the reply's own headers announce."""
    for name, value in reply.headers:
        if name.lower() == "content-length":
            return int(value)
    return None


@functools.lru_cache(maxsize=4096)
def _text(name: bytes) -> str:
    return name.decode("latin-1")


@functools.cache
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


def serving(
    handle: Handler,
    settings: Settings,
    ready: Callable[[], Awaitable[None]],
    *,
    patience_s: int = 2,
) -> Server:
    """The server for ``handle``; ``patience_s`` is what requests get to end when it stops."""
    return Server(handle, settings, ready, patience_s)


class Server:
    """Listens, and ends in order."""

    def __init__(
        self,
        handle: Handler,
        settings: Settings,
        ready: Callable[[], Awaitable[None]],
        patience_s: float,
    ) -> None:
        self.handle, self.body_bytes_max = handle, settings.body_bytes_max
        self.connections: set[Connection] = set()
        self.started = self.stopping = False
        self.port = settings.port
        """Where it listens; the one that was chosen where the settings say 0."""
        self._host, self._ready, self._patience_s = settings.host, ready, patience_s
        self._stop = asyncio.Event()
        self._doors: set[asyncio.Future[None]] = set()
        self._hurry = asyncio.Event()
        self._date, self._dated_until = "", 0.0

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve until asked to stop. Raises OSError where it cannot listen."""
        loop = asyncio.get_running_loop()
        listeners = [await self._listen(sock=s) for s in sockets or ()]
        if sockets is None:
            listeners = [await self._listen(host=self._host, port=self.port)]
            self.port = listeners[0].sockets[0].getsockname()[1]
        self.started = True
        try:
            await self._ready()
            await self._stop.wait()
        finally:
            self.stopping = True
            for listener in listeners:
                listener.close()
            for connection in list(self.connections):
                connection.wind_up()
            await self._wait_for_the_last(loop.time() + self._patience_s)

    async def _listen(self, **where: Any) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self, loop), backlog=1024, **where)

    async def _wait_for_the_last(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while self.connections and (left_s := until - loop.time()) > 0:
            try:
                await asyncio.wait_for(self._hurry.wait(), min(left_s, 0.02))
                break
            except TimeoutError:
                continue
        tasks = [task for c in list(self.connections) if (task := c.cut()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def open_door(self, listener: socket.socket) -> Callable[[], None]:
        """Serve on one more listening socket (a sandbox's); call what is returned to close it."""
        opened: list[asyncio.Server] = []
        closed = False

        async def open_() -> None:
            if closed:
                return
            # Known to ``close`` before the loop watches it; see compute/runtime_api.py.
            server = await self._listen(sock=listener, start_serving=False)
            opened.append(server)
            if closed:
                server.close()
            else:
                await server.start_serving()

        def close() -> None:
            nonlocal closed
            closed = True
            for server in opened:
                server.close()
            listener.close()

        opening = asyncio.ensure_future(open_())
        self._doors.add(opening)
        opening.add_done_callback(self._doors.discard)
        return close

    def ask_to_stop(self) -> None:
        """Finish what is being answered; asked twice, do not wait for it."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def head(
        self,
        status: int,
        headers: Sequence[tuple[str, str]],
        keep_alive: bool,
        length: int | None = None,
    ) -> bytes:
        """A reply's head; a given ``length`` is announced in the place of what the headers say."""
        lines = [_status_line(status)]
        for name, value in headers:
            if length is None or len(name) != 14 or name.lower() != "content-length":
                lines.append(f"{name}: {value}\r\n")
        if length is not None:
            lines.append(f"content-length: {length}\r\n")
        if not keep_alive:
            lines.append("connection: close\r\n")
        now = asyncio.get_running_loop().time()
        if now >= self._dated_until:
            self._date, self._dated_until = f"date: {formatdate(usegmt=True)}\r\n\r\n", now + 1
        lines.append(self._date)
        text = "".join(lines)
        if text.count("\n") > len(lines) + 1 or text.count("\r") > len(lines) + 1 or "\0" in text:
            raise ValueError("a header of the reply has a line break in it")
        return text.encode("latin-1")
