"""Cells of the traffic: every exchange, decoded or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import add, itemgetter
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import MINUTE_NS, End, Exchange, PredictionBatch
from mlmon_sidecar.statistics.layout import DURATION_EDGES, TrafficCells

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

_EDGES_NS = np.array([round(edge * 1e9) for edge in DURATION_EDGES], dtype=np.int64)
_NS_PER_US = 1000
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
SMALL_BYTES = 4_096  # of both bodies of an exchange

_at = Exchange._fields.index  # a field of many exchanges at once costs a third of an attribute of each
_STARTED, _STATUS, _END = itemgetter(_at("started_ns")), itemgetter(_at("status")), itemgetter(_at("end"))
_REQUEST_BYTES, _RESPONSE_BYTES = itemgetter(_at("request_bytes")), itemgetter(_at("response_bytes"))
_ANNOTATIONS = itemgetter(_at("annotations"))
_TIMES = itemgetter(_at("started_ns"), _at("first_byte_ns"), _at("ended_ns"))


def decoded_versions(batches: Iterable[PredictionBatch]) -> dict[str, str]:
    """Prediction id (without row number) to version, for every exchange that became rows."""
    return {
        prediction_id.partition("/")[0]: batch.version for batch in batches for prediction_id in batch.prediction_ids
    }


def count_exchanges(vector: IntVector, cells: TrafficCells, members: Sequence[Exchange], decoded: int) -> None:
    """Add the exchanges of one pane to its vector (layout.size,). Each is one of ok, client or server error, aborted.

    ``decoded`` of them became rows.
    """
    if all_fine(members):
        vector[cells.ok] += len(members)
    else:
        for exchange in members:
            vector[_outcome(exchange, cells)] += 1
    vector[cells.requests] += len(members)
    vector[cells.decoded] += decoded
    vector[cells.request_bytes] += sum(map(_REQUEST_BYTES, members))
    vector[cells.response_bytes] += sum(map(_RESPONSE_BYTES, members))
    started, first_byte, ended = times_of(members)
    _count_times(vector, cells.duration_us, cells.duration, ended - started)
    answered = first_byte != 0
    _count_times(vector, cells.first_byte_us, cells.first_byte, (first_byte - started)[answered])


def all_fine(members: Sequence[Exchange]) -> bool:
    """Whether every one was answered to its end, and by no error."""
    ends, statuses = list(map(_END, members)), list(map(_STATUS, members))
    return ends.count(_COMPLETE) == len(ends) and min(statuses, default=200) >= 200 and max(statuses, default=200) < 400


def times_of(members: Sequence[Exchange]) -> IntVector:
    """(3, exchanges) monotonic ns: when each started, sent its first byte (0: never) and ended."""
    flat = np.fromiter(chain.from_iterable(map(_TIMES, members)), dtype=np.int64, count=3 * len(members))
    return flat.reshape(-1, 3).T


def _outcome(exchange: Exchange, cells: TrafficCells) -> int:
    if exchange.end is End.DISCONNECT:
        return cells.aborted
    if exchange.end is End.ERROR or exchange.status == 0 or exchange.status >= 500:
        return cells.server_error
    return cells.client_error if exchange.status >= 400 else cells.ok


def _count_times(vector: IntVector, sum_cell: int, bins: slice, times_ns: IntVector) -> None:
    times = np.maximum(times_ns, 0)
    vector[sum_cell] += (times // _NS_PER_US).sum()
    places = np.searchsorted(_EDGES_NS, times, side="left")
    vector[bins] += np.bincount(places, minlength=len(_EDGES_NS) + 1)


def by_minute(exchanges: Sequence[Exchange], unix_at: Callable[[int], int]) -> Mapping[int, Sequence[Exchange]]:
    """Minute to the exchanges that started in it. ``unix_at``: Unix ns at a monotonic reading; it never falls."""
    started = list(map(_STARTED, exchanges))
    first, last = (unix_at(reading) // MINUTE_NS for reading in (min(started), max(started)))
    if first == last:
        return {first: exchanges}
    found: dict[int, list[Exchange]] = {}
    for exchange, reading in zip(exchanges, started, strict=True):
        found.setdefault(unix_at(reading) // MINUTE_NS, []).append(exchange)
    return found


def without_large_bodies(exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """``without_bodies`` of each; mostly not one has a large one."""
    largest = max(map(add, map(_REQUEST_BYTES, exchanges), map(_RESPONSE_BYTES, exchanges)), default=0)
    if largest <= SMALL_BYTES and not any(map(_ANNOTATIONS, exchanges)):
        return exchanges
    return list(map(without_bodies, exchanges))


def without_bodies(exchange: Exchange) -> Exchange:
    """What is counted of it, and small bodies, which cost less to hold for a moment than to cut off."""
    if exchange.request_bytes + exchange.response_bytes <= SMALL_BYTES and not exchange.annotations:
        return exchange
    return exchange._replace(
        request_headers=(), request_body=(), response_headers=(), response_body=(), annotations=(), response_tail=()
    )
