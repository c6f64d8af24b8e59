"""From the hand-off to columns: exchanges are read a few at a time, and become columns many at once.

To read one costs the same wherever it comes; to make columns costs about as much for one as for fifty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.batch import Slice
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.recorder.pace import Pace
from mlmon_sidecar.records import Decoded, DropReason, Exchange
from mlmon_sidecar.telemetry import Telemetry

MAX_EXCHANGES = 64  # read in one step
READ_FIXED = 4_000  # what a step of reading costs before the first exchange, in bytes as the hand-off counts them
READ_LEAST = 8_000
READ_NS_PER_BYTE = 10.0  # to begin with; measured from then on
COLUMNS_EXCHANGES = 128  # that become columns in one go, in several steps
COLUMNS_BYTES = 48 * 1024  # of their bodies
_REQUEST_BYTES = itemgetter(Exchange._fields.index("request_bytes"))
_RESPONSE_BYTES = itemgetter(Exchange._fields.index("response_bytes"))


class Group(NamedTuple):
    """Exchanges of one model that were decoded together."""

    model: str
    exchanges: list[Exchange]
    decoded: Decoded


class Decoding:
    """Not safe for threads: the recorder's lock is held, save for ``drain``."""

    def __init__(
        self,
        options_of: Callable[[str], DecodeOptions],
        handoff: Handoff,
        clock: Clock,
        telemetry: Telemetry,
        tracing: Callable[[Exchange], Exchange] | None = None,  # gives an exchange in no trace a span
        *,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._options_of, self._handoff, self._clock, self._telemetry = options_of, handoff, clock, telemetry
        self._pace = Pace(READ_NS_PER_BYTE, fixed=READ_FIXED, least=READ_LEAST, cpu_ns=cpu_ns)
        self._tracing = tracing
        self._slices: dict[str, tuple[Slice, list[Exchange]]] = {}
        self._exchanges = self._bytes = 0  # read, and not columns yet
        self.queued = False  # the hand-off held more than was taken

    def __len__(self) -> int:
        """Exchanges that were read and are not columns yet."""
        return self._exchanges

    @property
    def is_full(self) -> bool:
        return self._exchanges >= COLUMNS_EXCHANGES or self._bytes >= COLUMNS_BYTES

    def drain(self) -> tuple[list[Exchange], int]:
        """Exchanges for one step, and their bytes. ``queued`` says afterwards whether there may be more."""
        taken, size, self.queued = self._handoff.drain_within(MAX_EXCHANGES, self._pace.units)
        return taken, size

    def read(self, exchanges: list[Exchange], size: int) -> None:
        """Parse what ``drain`` took."""
        if not exchanges:
            return
        self._pace.begin()
        for exchange in exchanges if self._tracing is None else map(self._traced, exchanges):
            try:
                found, members = self._of(exchange.model)
                found.add(exchange)
                members.append(exchange)
            except Exception as error:  # A fault of ours costs the exchange, never the server.
                self._telemetry.failed("decode", error)
                self._telemetry.dropped(1, DropReason.INTERNAL_ERROR)
        self._exchanges += len(exchanges)
        self._bytes += sum(map(_REQUEST_BYTES, exchanges)) + sum(map(_RESPONSE_BYTES, exchanges))
        self._pace.end(size)

    def _traced(self, exchange: Exchange) -> Exchange:
        assert self._tracing is not None, "asked only where there is one"
        try:
            return self._tracing(exchange)
        except Exception as error:  # A fault of ours costs the span, not the rows.
            self._telemetry.failed("span", error)
            return exchange

    def _of(self, model: str) -> tuple[Slice, list[Exchange]]:
        found = self._slices.get(model)
        if found is None:
            found = self._slices[model] = Slice(self._options_of(model), self._clock.unix_at), []
        return found

    def columns(self) -> Iterator[Group | None]:
        """All that was read, model by model, in pieces. None: nothing yet, and a place to let others go on."""
        slices, self._slices = self._slices, {}
        self._exchanges = self._bytes = 0
        for model, (found, exchanges) in slices.items():
            try:
                decoded = yield from found.decoding()
            except Exception as error:  # A fault of ours costs these exchanges' rows, never the server.
                self._telemetry.failed("decode", error)
                self._telemetry.dropped(len(exchanges), DropReason.INTERNAL_ERROR)
                continue
            yield Group(model, exchanges, decoded)
