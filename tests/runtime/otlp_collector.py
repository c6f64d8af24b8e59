"""A collector that nobody here wrote, and everything that arrived there."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings
from runtime_serving import SOON_SECONDS

SIGNALS = ("metrics", "logs", "traces")


class Collector:
    """oteltap in a thread of its own; keeps everything that arrives, in order."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self.arrived: dict[str, list[Any]] = {signal: [] for signal in SIGNALS}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._receiver = OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(http_port=port))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._open())

    def wait(self, signal: str, wanted: Callable[[list[Any]], Any]) -> Any:
        """What ``wanted`` finds in everything that arrived, as soon as that is something."""
        with self._changed:
            assert self._changed.wait_for(lambda: wanted(self.arrived[signal]), SOON_SECONDS), signal
            return wanted(self.arrived[signal])

    def close(self) -> None:
        self._do(self._receiver.stop())
        self._do(asyncio.wait(self._readers))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SOON_SECONDS)

    async def _open(self) -> None:
        await self._receiver.start()
        streams = {signal: getattr(self._receiver, f"stream_{signal}")() for signal in SIGNALS}
        self._readers = [asyncio.create_task(self._read(signal, stream)) for signal, stream in streams.items()]
        await asyncio.sleep(0)  # every reader has subscribed

    async def _read(self, signal: str, stream: Any) -> None:
        async for message in stream:
            with self._changed:
                self.arrived[signal].append(message)
                self._changed.notify_all()
