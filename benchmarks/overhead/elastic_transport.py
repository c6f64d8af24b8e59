"""Where elastic-apm's compressed batches end here. Loaded by elastic-apm, by name."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import urlsplit

from elasticapm.transport.base import Transport


class CountingTransport(Transport):
    """Keeps what is to be sent, as a server would receive it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._event_queue.maxsize = 1 << 16  # its default drops a round that comes at once
        self._sent: list[bytes] = []

    def send(self, data: bytes, forced_flush: bool = False) -> None:
        self._sent.append(bytes(data))

    def take(self) -> list[tuple[str, str]]:
        """(path, body) of every transaction sent since the last call."""
        sent, self._sent = self._sent, []
        lines = (json.loads(line) for data in sent if data for line in gzip.decompress(data).splitlines())
        requests = (line["transaction"]["context"]["request"] for line in lines if "transaction" in line)
        return [(urlsplit(request["url"]["full"]).path, str(request.get("body", ""))) for request in requests]
