"""The platform's side of a cell: one sandbox, from parked to gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from skyfold.base.clock import stopwatch
from skyfold.compute import processes
from skyfold.compute.api import RESPONSE_BYTES_MAX, ComputeError, FunctionSpec
from skyfold.compute.cgroups import Group
from skyfold.compute.inside import frames
from skyfold.compute.logs import LogPipe
from skyfold.compute.runtime_api import RuntimeApi
from skyfold.compute.spawners import Spawner

_READ_BYTES = 1 << 20
_FRAME_BYTES_MAX = RESPONSE_BYTES_MAX + 4096

TIMEOUT, EXIT, GONE = -1, -2, -3
"""What can come instead of a frame: time is up, the runtime has ended, the whole cell has."""


class Reply(NamedTuple):
    """What a cell did: the kind of a frame and its payload, or one of the above."""

    kind: int
    payload: bytes = b""
    status: int = 0
    """How the runtime ended: its exit status, or the negative number of the signal."""


class Cell:
    """One sandbox. It serves one invocation at a time."""

    def __init__(self, spawner: Spawner, uid: int | None, number: int, group: Group | None) -> None:
        self.spawner, self.uid, self.number, self.group = spawner, uid, number, group
        self.pid = 0
        self.spec: FunctionSpec | None = None
        self.alive = False
        self.last_used = stopwatch()
        self.expires_ms: int | None = None
        self.peak_kib = 0
        self.over_memory = False
        self.on_end: list[Callable[[], None]] = []
        self.listeners: list[socket.socket] = []
        self.ports: list[int] = []
        """The listening sockets inside the cell, and their ports there."""
        self.log: LogPipe
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._doomed = False
        self._api: RuntimeApi | None = None
        self._buffer = bytearray()
        self._outgoing: memoryview | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._status: int | None = None
        self._channel: socket.socket
        self._stream: socket.socket

    async def spawn(self, order: dict[str, Any]) -> None:
        """Come into being, parked: the runtime boots and waits to be assigned."""
        cgroup = self.group.fd if self.group else None
        self._channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stream, stream = socket.socketpair()
        reader, writer = os.pipe()
        self.log = LogPipe(reader)
        self._channel.setblocking(False)
        self._stream.setblocking(False)
        order = {**order, "uid": self.uid, "cgroup": cgroup is not None}
        fds = [channel.fileno(), stream.fileno(), writer]
        try:
            if cgroup is not None:
                fds.append(cgroup)
            self.pid, self._pidfd = await self.spawner.spawn(order, fds)
        except BaseException:
            for end in (self._channel, self._stream):
                end.close()
            self.log.close()
            self._tell_end()
            raise
        finally:
            channel.close()
            stream.close()
            os.close(writer)
        self.alive = True
        self.spawner.cells += 1
        self._loop.add_reader(self._channel, self._on_channel)
        self._loop.add_reader(self._stream, self._on_stream)
        self._loop.add_reader(self.log.fd, self._on_log)
        self._loop.add_reader(self._pidfd, self._on_gone)
        if self._doomed:
            self.kill()

    @property
    def max_memory_mb(self) -> int:
        """The most memory that it ever had, whole MiB."""
        peak = max(self.peak_kib, self.group.peak_kib() if self.group else 0)
        return -(-peak // 1024)

    @property
    def out_of_memory(self) -> bool:
        """Whether it was killed for want of memory."""
        return self.over_memory or (self.group is not None and self.group.was_killed())

    def note_peak(self) -> None:
        """For runtimes that do not say themselves how much memory they had."""
        if self.group is None or not self.group.limits_memory:
            self.peak_kib = max(self.peak_kib, processes.peak_kib(self.pid))

    def resident_kib(self) -> int:
        """The memory that its processes hold for themselves now."""
        if self.group is not None and self.group.limits_memory:
            return self.group.resident_kib()
        return processes.resident_kib(self.pid)

    async def ready(self) -> None:
        """Return when process 1 has made the cell's world and starts its runtime."""
        await self._ready
        if self.group is not None and self.group.attaches_late:
            try:
                await asyncio.to_thread(self.group.attach, self.pid)
                self._channel.send(b"go")
            except OSError as error:
                raise ComputeError(f"A sandbox ended while it was being made: {error}") from error

    def assign(self, spec: FunctionSpec, mounts: dict[str, Any], runtime: dict[str, Any]) -> None:
        """Become ``spec``'s: mount its code, tell the runtime who it is."""
        self.spec = spec
        if self.group is not None:
            self.group.limit(spec.memory_mb, spec.ephemeral_mb)
        try:
            self._channel.send(json.dumps(mounts).encode())
        except OSError:
            self.kill()
        self._send(frames.ASSIGN, json.dumps(runtime).encode())
        if runtime.get("then"):  # for the program that the waiting process becomes
            self._send(frames.ASSIGN, json.dumps(runtime["then"]).encode())

    def speak_http(self, api: RuntimeApi) -> None:
        """The runtime asks for its work by HTTP, not by frames."""
        self._api = api
        api.on_reply = self._parse  # type: ignore[method-assign]  # its one listener
        self.on_end.append(api.close)

    def invoke(self, header: dict[str, Any], event: bytes) -> None:
        if self._api is not None:
            self._api.deliver(header, event)
            return
        self._send(frames.INVOKE, json.dumps(header).encode() + b"\n" + event)

    async def reply(self, timeout_s: float) -> Reply:
        """The next thing that happens in the cell, at most ``timeout_s`` away."""
        if not self.alive:
            return Reply(GONE, status=self._status or 0)
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiter = waiter
        timer = self._loop.call_later(timeout_s, self._resolve, Reply(TIMEOUT))
        self._parse()
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def kill(self) -> None:
        """End it now, with every process in it."""
        self._doomed = True
        if self._pidfd < 0:
            return
        if self.spawner.plan.level < 2:
            # Process 1 there is none; its stand-in ends what it started when we hang up.
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def gone(self) -> None:
        """Return when not one process of it is left."""
        await asyncio.shield(self._gone)

    def _send(self, kind: int, payload: bytes) -> None:
        data = memoryview(frames.HEADER.pack(len(payload), kind) + payload)
        if self._outgoing is not None:
            self._outgoing = memoryview(bytes(self._outgoing) + data)
            return
        try:
            sent = self._stream.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it has ended; the channel says so
        if sent < len(data):
            self._outgoing = data[sent:]
            self._loop.add_writer(self._stream, self._on_writable)

    def _on_writable(self) -> None:
        assert self._outgoing is not None
        try:
            self._outgoing = self._outgoing[self._stream.send(self._outgoing) :]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing = None
        if not self._outgoing:
            self._outgoing = None
            self._loop.remove_writer(self._stream)

    def _on_stream(self) -> None:
        try:
            data = self._stream.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._stream)
            return
        self._buffer += data
        if len(self._buffer) > 2 * _FRAME_BYTES_MAX:
            self.kill()  # it does not keep to the protocol: only tampering can do that
            return
        self._parse()

    def _parse(self) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if self._api is not None and (taken := self._api.take()) is not None:
            self.note_peak()
            self._resolve(Reply(*taken))
            return
        if len(self._buffer) < frames.HEADER.size:
            return
        length, kind = frames.HEADER.unpack_from(self._buffer)
        if length > _FRAME_BYTES_MAX:
            self.kill()
            return
        end = frames.HEADER.size + length
        if len(self._buffer) >= end:
            payload = bytes(self._buffer[frames.HEADER.size : end])
            del self._buffer[:end]
            self._resolve(Reply(kind, payload))

    def _resolve(self, reply: Reply) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(reply)

    def _on_channel(self) -> None:
        try:
            raw, fds, _, _ = socket.recv_fds(self._channel, 1 << 16, 8)
        except BlockingIOError:
            return
        except OSError:
            raw, fds = b"", []
        self.listeners += [socket.socket(fileno=fd) for fd in fds]
        if not raw:
            self._loop.remove_reader(self._channel)
            return
        message = json.loads(raw)
        if "ready" in message and not self._ready.done():
            self.ports = message["ready"]
            self._ready.set_result(None)
        if "exit" in message:
            self._status = message["exit"]
            self.alive = False
            self._on_stream_end()
            self._resolve(Reply(EXIT, status=self._status or 0))
        if "error" in message:
            self._resolve(Reply(GONE, message["error"].encode()))

    def _on_stream_end(self) -> None:
        """A last frame may have been written just before the end."""
        with contextlib.suppress(OSError, ValueError):
            while data := self._stream.recv(_READ_BYTES):
                self._buffer += data
        self._parse()

    def _on_log(self) -> None:
        if not self.log.read():
            self._loop.remove_reader(self.log.fd)

    def _on_gone(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.alive = False
        self._on_stream_end()
        self._resolve(Reply(GONE, status=-signal.SIGKILL))
        if not self._ready.done():
            self._ready.set_exception(ComputeError("A sandbox ended while it was being made."))
            self._ready.exception()  # nobody may be waiting
        self.spawner.cells -= 1
        for end in (self._channel, self._stream):
            self._loop.remove_reader(end)
            self._loop.remove_writer(end)
            end.close()
        self._loop.remove_reader(self.log.fd)
        self.log.read()
        self.log.close()
        os.close(self._pidfd)
        self._pidfd = -1
        self._tell_end()

    def _tell_end(self) -> None:
        for ending in self.on_end:
            try:
                ending()
            except Exception as error:  # the others must hear of it all the same
                context = {"message": "at the end of a sandbox", "exception": error}
                self._loop.call_exception_handler(context)
        for listener in self.listeners:
            listener.close()
        self._gone.set_result(None)
