"""A hub with its socket and raw intake in this process, and senders to it, real and hand-made."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.config import load
from mlmon_sidecar.hub.embedded import HubHost
from mlmon_sidecar.hub.hub import Hub, HubOptions
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.raw_intake import RawIntake
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.redact import Redactor
from mlmon_sidecar.runtime.assembly import watched_models
from mlmon_sidecar.runtime.separate_hub import raw_intake
from mlmon_sidecar.runtime.wiring import export_options
from mlmon_sidecar.shipper import Shipper
from mlmon_sidecar.shipping.frames import (
    MESSAGE_HEADER,
    OPENED,
    Kind,
    Opening,
    pack,
    pack_opening,
    unpack_number,
)
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

MODEL = "loans"
PATIENCE = 40.0  # seconds; only a broken test waits so long

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], wanted: Callable[[Found], object] = bool) -> Found:
    deadline = time.monotonic() + PATIENCE
    while not wanted(found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.01)
    return found


class RawHub:
    """``mlmon hub`` without its process: everything else is as there."""

    def __init__(self, folder: Path, interval: float = 0.05) -> None:
        self.path = folder / "hub.sock"
        self.telemetry = Telemetry()
        self.store = SqliteStore(folder / "mlmon.db")
        plan = ModelPlan(MODEL, Layout.bare(MODEL))
        options = HubOptions(flush_interval_seconds=interval)
        self.hub = Hub(self.store, [plan], SystemClock(), self.telemetry, options)
        loaded = load(None, environ={}, model=MODEL, flush_interval_seconds=interval)
        watched = watched_models(loaded.settings, loaded.origin)
        self.raw: RawIntake = raw_intake(
            loaded.settings, watched, self.hub, None, export_options(loaded.settings, {}), Redactor()
        )
        self._host = HubHost(self.hub, self.path, raw=self.raw)

    def __enter__(self) -> RawHub:
        self._host.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._host.stop()

    @property
    def counters(self) -> Mapping[str, int]:
        return self.store.counters()

    def settled(self, exchanges: int) -> Mapping[str, int]:
        """The counters, once so many exchanges are in them."""
        return eventually(lambda: self.counters, lambda found: found.get("exchanges.accepted", 0) >= exchanges)

    @property
    def bad_frames(self) -> int:
        return self.telemetry.snapshot().get("errors.hub_socket.WireError", 0)


def stored_ids(folder: Path) -> list[str]:
    store = SqliteStore(folder / "mlmon.db")
    try:
        return [row[0] for row in store._rows("SELECT prediction_id FROM predictions ORDER BY prediction_id")]
    finally:
        store.close()


def scored(number: int = 0, **changes: Any) -> Exchange:
    """One good exchange, that began a moment ago."""
    now = time.monotonic_ns()
    body, answer = b'{"income":%d}' % number, b'{"score":0.5}'
    json = ((b"content-type", b"application/json"),)
    return Exchange(
        str(uuid4()), MODEL, "POST", "/score", now - 1_000_000, now - 500_000, now, 200, End.COMPLETE, "",
        json, (body,), len(body), json, (answer,), len(answer), 0, 0, False, (),
    )._replace(**changes)  # fmt: skip


class Sender:
    """A shipper and what its server would have around it."""

    def __init__(self, path: Path, *, max_bytes: int = 64 << 20, window: int = 16 << 20) -> None:
        self.handoff = Handoff(max_bytes=max_bytes)
        self.telemetry, self.faults = Telemetry(), Faults()
        self.shipper = Shipper(
            str(path), self.handoff, self.telemetry, self.faults, window_bytes=window, count_seconds=0.02
        )
        self.ids: list[str] = []

    def put(self, count: int = 1, **changes: Any) -> None:
        for number in range(count):
            exchange = scored(number, **changes)
            if self.handoff.put(tuple(exchange)):
                self.ids.append(exchange.prediction_id)

    def __enter__(self) -> Sender:
        self.shipper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.lost = self.shipper.stop(PATIENCE)


@contextmanager
def talking(path: Path, **changes: Any) -> Iterator[tuple[socket.socket, int]]:
    """A sender by hand: its connection after the opening, and the last number that the hub has."""
    opening = Opening("by-hand", "here:1", 1, 1 << 24, time.monotonic_ns(), time.time_ns())._replace(**changes)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(PATIENCE)
        stream.connect(str(path))
        stream.sendall(pack_opening(opening))
        _, kind, length = MESSAGE_HEADER.unpack(exactly(stream, MESSAGE_HEADER.size))
        assert kind == OPENED
        yield stream, unpack_number(exactly(stream, length))


def exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = stream.recv(size - len(data))
        assert chunk, "the hub closed"
        data += chunk
    return data


def frame(kind: Kind, number: int, *parts: bytes) -> bytes:
    return b"".join(pack(kind, number, parts))
