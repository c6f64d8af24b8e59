"""Queues of the application's own, such as that of a batching model server: it tells how long they are when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlmon_sidecar.records import Measurement
from mlmon_sidecar.telemetry import Telemetry

_queues: dict[str, Callable[[], int]] = {}


def watch_queue(name: str, depth: Callable[[], int]) -> None:
    """Have ``depth()`` exported as ``mlmon.queue.depth``. Called from another thread, once an export; the last of a
    name counts. ``name`` is static text, never a request's."""
    _queues[name] = depth


class QueueSource:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def __call__(self) -> Sequence[Measurement]:
        found = []
        for name, depth in tuple(_queues.items()):
            try:
                found.append(Measurement("mlmon.queue.depth", int(depth()), (("mlmon.queue.name", name),)))
            except Exception as error:  # The application's function: it costs its own figure.
                self._telemetry.failed("queue_depth", error)
        return found
