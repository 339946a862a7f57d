"""A cloud in this process, in a thread of its own: for tests of programs that use AWS."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from skyfold.base.settings import Settings

if TYPE_CHECKING:
    from skyfold.server.node import Node

START_SECONDS_MAX = 30


class TestCloud:
    """A running ephemeral cloud. Its clock can be moved; ``reset`` forgets everything."""

    __test__ = False  # pytest: the name begins with Test, and yet it is none

    def __init__(self, region: str = "us-east-1") -> None:
        self.region = region
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._server: Any = None
        self._node: Node | None = None
        self._thread = threading.Thread(target=self._main, name="skyfold", daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What points boto3 and every other AWS client here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Return when it answers. Raises what kept it from starting."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS_MAX) and self._trouble is None:
            raise TimeoutError("The cloud did not start.")
        if self._trouble is not None:
            raise self._trouble

    def stop(self) -> None:
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.ask_to_stop)
        self._thread.join(10)

    def reset(self) -> None:
        """Forget every resource, object and message."""
        assert self._node is not None, "the cloud is running"
        asyncio.run_coroutine_threadsafe(self._node.reset(), self._loop).result(30)

    def advance(self, seconds: float) -> None:
        """Move the cloud's clock on; timers that fall due on the way run first."""
        assert self._node is not None, "the cloud is running"
        asyncio.run_coroutine_threadsafe(self._node.advance(seconds), self._loop).result(600)

    def client(self, service: str) -> Any:
        """A boto3 client of ``service``, whatever the environment says."""
        import boto3

        return boto3.client(  # type: ignore[no-untyped-call]  # boto3 has no types
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as trouble:
            self._trouble = trouble
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        from skyfold.server.admin import Admin
        from skyfold.server.http import serving
        from skyfold.server.node import Ephemeral, Node, open_store

        settings = Settings(port=self.port, region=self.region, engine="memory")
        folder = Ephemeral()
        node = Node(settings, open_store(settings, folder.path), folder.path)
        admin = Admin(node)

        async def ready() -> None:
            self._node = node
            self._ready.set()

        self._server = serving(admin.handle, settings, ready, patience_s=1)
        node.door = self._server.open_door
        try:
            await node.start()
            await self._server.serve(sockets=[self._listener])
        finally:
            with suppress(Exception):
                await node.stop()
            folder.remove()


@contextmanager
def running(region: str = "us-east-1") -> Iterator[TestCloud]:
    """A cloud for the length of a ``with`` block."""
    cloud = TestCloud(region)
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.stop()
