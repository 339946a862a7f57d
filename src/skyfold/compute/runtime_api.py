"""The HTTP Runtime API of one cell, for runtimes that a package brings with it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import deque
from typing import Any

import httptools

from skyfold.compute.api import RESPONSE_BYTES_MAX
from skyfold.compute.inside import frames

VERSION = "/2018-06-01/runtime"
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
_HEADERS = {
    "client": "Lambda-Runtime-Client-Context",
    "identity": "Lambda-Runtime-Cognito-Identity",
    "trace": "Lambda-Runtime-Trace-Id",
}


class RuntimeApi:
    """Turns the requests of a runtime into the frames that a cell understands."""

    def __init__(self) -> None:
        self._replies: deque[tuple[int, bytes]] = deque()
        self._listeners: list[Any] = []
        self._pending: bytes | None = None
        self._current = ""
        self._initialised = False
        self._waiting: list[Connection] = []
        self._server: asyncio.Server | None = None
        self._closed = False

    async def serve(self, listener: socket.socket) -> None:
        if self._closed:  # the cell was quicker to end
            return
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        # Known to ``close`` before the loop watches the listener: a listener that is closed behind
        # the loop's back would stay in its books, and haunt whoever gets the number next.
        self._server = await loop.create_server(
            lambda: Connection(self), sock=listener, start_serving=False
        )
        if self._closed:
            self._server.close()
        else:
            await self._server.start_serving()

    def close(self) -> None:
        self._closed = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._listeners):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        self._listeners.append(connection)

    def closed(self, connection: Connection) -> None:
        self._listeners.remove(connection)
        if connection in self._waiting:
            self._waiting.remove(connection)

    def take(self) -> tuple[int, bytes] | None:
        """The oldest reply that nobody has taken."""
        return self._replies.popleft() if self._replies else None

    def on_reply(self) -> None:
        """Called when a reply has come; the cell puts its own function here."""

    def deliver(self, header: dict[str, Any], event: bytes) -> None:
        """Hand an invocation to whoever asks for the next one."""
        lines = [
            f"Lambda-Runtime-Aws-Request-Id: {header['id']}",
            f"Lambda-Runtime-Deadline-Ms: {header['deadline']}",
            f"Lambda-Runtime-Invoked-Function-Arn: {header['arn']}",
        ]
        lines += [f"{_HEADERS[name]}: {header[name]}" for name in _HEADERS if name in header]
        self._pending = _response(200, event, *lines)
        self._current = header["id"]
        self._hand_out()

    def handle(self, connection: Connection) -> None:
        """One request of the runtime, complete."""
        method, path, body = connection.method, connection.path, connection.body
        if method == "GET" and path == f"{VERSION}/invocation/next":
            self._waiting.append(connection)
            if not self._initialised:
                self._initialised = True
                self._reply(frames.READY, b"")
            self._hand_out()
        elif method == "POST" and path == f"{VERSION}/init/error":
            self._init_error(connection, body)
        elif match := re.fullmatch(rf"{VERSION}/invocation/([^/]+)/(response|error)", path):
            self._answer(connection, match[1], match[2], body)
        elif method == "GET" and path == f"{VERSION}/ping":
            connection.send(_response(200, b"pong"))
        else:
            connection.send(_error(404, "NotFound", f"{method} {path} is not part of the API"))

    def _hand_out(self) -> None:
        if self._pending is not None and self._waiting:
            self._waiting.pop(0).send(self._pending)
            self._pending = None

    def _init_error(self, connection: Connection, body: bytes) -> None:
        if self._initialised:
            text = "State transition from Ready to InitError failed"
            connection.send(_error(403, "InvalidStateTransition", text))
            return
        self._initialised = True
        self._reply(frames.INIT_ERROR, b"0\n" + _with_type(connection, body))
        connection.send(_accepted())

    def _answer(self, connection: Connection, request_id: str, what: str, body: bytes) -> None:
        if request_id != self._current:
            connection.send(_error(400, "InvalidRequestID", "Invalid request ID"))
            return
        self._current = ""
        if what == "error":
            self._reply(frames.ERROR, b"0\n" + _with_type(connection, body))
        elif len(body) > RESPONSE_BYTES_MAX:
            self._reply(frames.TOO_LARGE, b"0\n%d" % len(body))
            text = f"Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
            connection.send(_error(413, "RequestEntityTooLarge", text))
            return
        else:
            kind = connection.headers.get("content-type", "application/json")
            self._reply(frames.RESULT, f"0 {kind}\n".encode() + body)
        connection.send(_accepted())

    def _reply(self, kind: int, payload: bytes) -> None:
        self._replies.append((kind, payload))
        self.on_reply()


def _with_type(connection: Connection, body: bytes) -> bytes:
    """An error's JSON; the header names the type where the body does not."""
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    if isinstance(error, dict) and error.get("errorType"):
        return body
    named = connection.headers.get("lambda-runtime-function-error-type", "")
    kind = named if _ERROR_TYPE.fullmatch(named) else "Runtime.Unknown"
    message = error.get("errorMessage", "") if isinstance(error, dict) else ""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _response(status: int, body: bytes, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _accepted() -> bytes:
    return _response(202, b'{"status":"OK"}\n')


def _error(status: int, kind: str, message: str) -> bytes:
    return _response(
        status, json.dumps({"errorMessage": message, "errorType": kind}).encode() + b"\n"
    )


class Connection(asyncio.Protocol):
    """One connection of a runtime to its API."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self.method, self.path, self.body = "", "", b""
        self.headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._api.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._api.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def on_message_begin(self) -> None:
        self.headers, self._parts, self._size = {}, [], 0

    def on_url(self, url: bytes) -> None:
        self.path = url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        if name.lower() == b"expect":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        # What is too large is counted, not kept.
        if self._size <= RESPONSE_BYTES_MAX + len(data):
            self._parts.append(data)

    def on_message_complete(self) -> None:
        self.method = self._parser.get_method().decode()
        self.body = b"".join(self._parts)
        self._api.handle(self)

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
