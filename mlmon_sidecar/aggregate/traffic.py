"""Cells of the traffic: every exchange, decoded or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.records import MINUTE_NS, End, Exchange, PredictionBatch
from mlmon_sidecar.statistics.layout import DURATION_EDGES, TrafficCells

if TYPE_CHECKING:
    from mlmon_sidecar.aggregate.tally import Mask
    from mlmon_sidecar.records import IntVector

_EDGES_NS = np.array([round(edge * 1e9) for edge in DURATION_EDGES], dtype=np.int64)
_NS_PER_US = 1000
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
SMALL_BYTES = 4_096  # of both bodies of an exchange


class Traffic:
    """Exchanges of one model, at least one, as columns of what they are counted by. Every array is (exchanges,).

    Attributes:
        versions: of each that was decoded; None for any other.
        complete: the last body message went out.
        traced: whether any is of a trace that is kept.
    """

    def __init__(self, passed: Sequence[tuple[Exchange, str | None]]) -> None:
        exchanges, versions = zip(*passed, strict=True)
        columns: Any = Exchange._make(zip(*exchanges, strict=True))  # of tuples
        self.exchanges: Sequence[Exchange] = exchanges
        self.versions: Sequence[str | None] = versions
        self.started_ns: IntVector = np.array(columns.started_ns, dtype=np.int64)
        self.first_byte_ns: IntVector = np.array(columns.first_byte_ns, dtype=np.int64)
        self.ended_ns: IntVector = np.array(columns.ended_ns, dtype=np.int64)
        self.status: IntVector = np.array(columns.status, dtype=np.int64)
        self.request_bytes: int = sum(columns.request_bytes)
        self.response_bytes: int = sum(columns.response_bytes)
        self.traced = any(columns.trace_sampled)
        self.complete: Mask = np.fromiter((end is _COMPLETE for end in columns.end), bool, count=len(exchanges))

    def __len__(self) -> int:
        return len(self.exchanges)

    def part(self, of: Callable[[int], bool]) -> Traffic:
        """Those whose number ``of`` says yes to, at least one."""
        return Traffic([pair for at, pair in enumerate(zip(self.exchanges, self.versions, strict=True)) if of(at)])

    def by_version(self) -> Mapping[str | None, Traffic]:
        """In order of first sight."""
        distinct = dict.fromkeys(self.versions)
        if len(distinct) == 1:
            return {self.versions[0]: self}
        return {version: self.part(lambda at, own=version: self.versions[at] == own) for version in distinct}  # type: ignore[misc]

    def by_minute(self, unix_at: Callable[[int], int]) -> Mapping[int, Traffic]:
        """By the minute of their start. ``unix_at``: Unix ns at a monotonic reading; it never goes back."""
        first, last = (unix_at(int(ns)) // MINUTE_NS for ns in (self.started_ns.min(), self.started_ns.max()))
        if first == last:
            return {first: self}
        minutes = [unix_at(ns) // MINUTE_NS for ns in self.started_ns.tolist()]
        return {minute: self.part(lambda at, own=minute: minutes[at] == own) for minute in dict.fromkeys(minutes)}  # type: ignore[misc]


def decoded_versions(batches: Iterable[PredictionBatch]) -> dict[str, str]:
    """Prediction id (without row number) to version, for every exchange that became rows."""
    found: dict[str, str] = {}
    for batch in batches:
        alone = rows_are_alone(batch)
        ids = batch.prediction_ids if alone else [name.partition("/")[0] for name in batch.prediction_ids]
        found.update(dict.fromkeys(ids, batch.version))
    return found


def rows_are_alone(batch: PredictionBatch) -> bool:
    """Whether no id has a row number: each row is all that its request held."""
    return "/" not in "".join(batch.prediction_ids)


def count_traffic(vector: IntVector, cells: TrafficCells, traffic: Traffic, decoded: int) -> None:
    """Add the exchanges of one pane to its vector (layout.size,). Each is one of ok, client or server error, aborted.

    ``decoded`` of them became rows.
    """
    fine = traffic.complete & (traffic.status >= 200) & (traffic.status < 400)
    vector[cells.ok] += np.count_nonzero(fine)
    for at in np.flatnonzero(~fine).tolist():
        vector[_outcome(traffic.exchanges[at], cells)] += 1
    vector[cells.requests] += len(traffic)
    vector[cells.decoded] += decoded
    vector[cells.request_bytes] += traffic.request_bytes
    vector[cells.response_bytes] += traffic.response_bytes
    answered = traffic.first_byte_ns != 0
    until_first = traffic.first_byte_ns - traffic.started_ns
    _count_times(vector, cells.duration_us, cells.duration, traffic.ended_ns - traffic.started_ns)
    _count_times(vector, cells.first_byte_us, cells.first_byte, until_first[answered])


def _outcome(exchange: Exchange, cells: TrafficCells) -> int:
    if exchange.end is End.DISCONNECT:
        return cells.aborted
    if exchange.end is End.ERROR or exchange.status == 0 or exchange.status >= 500:
        return cells.server_error
    return cells.client_error if exchange.status >= 400 else cells.ok


def _count_times(vector: IntVector, sum_cell: int, bins: slice, times_ns: IntVector) -> None:
    times = np.maximum(times_ns, 0)
    vector[sum_cell] += (times // _NS_PER_US).sum()
    vector[bins] += np.bincount(_EDGES_NS.searchsorted(times), minlength=len(_EDGES_NS) + 1)


def without_bodies(exchange: Exchange) -> Exchange:
    """What is counted of it, and small bodies, which cost less to hold for a moment than to cut off."""
    if exchange.request_bytes + exchange.response_bytes <= SMALL_BYTES and not exchange.annotations:
        return exchange
    return exchange._replace(
        request_headers=(), request_body=(), response_headers=(), response_body=(), annotations=(), response_tail=()
    )
