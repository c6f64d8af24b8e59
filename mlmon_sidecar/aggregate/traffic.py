"""Cells of the traffic: every exchange, decoded or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import End, Exchange, PredictionBatch
from mlmon_sidecar.statistics.layout import DURATION_EDGES, TrafficCells

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

_EDGES_NS = np.array([round(edge * 1e9) for edge in DURATION_EDGES], dtype=np.int64)
_NS_PER_US = 1000
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
SMALL_BYTES = 4_096  # of both bodies of an exchange


def decoded_versions(batches: Iterable[PredictionBatch]) -> dict[str, str]:
    """Prediction id (without row number) to version, for every exchange that became rows."""
    return {
        prediction_id.partition("/")[0]: batch.version for batch in batches for prediction_id in batch.prediction_ids
    }


def count_exchanges(vector: IntVector, cells: TrafficCells, members: Sequence[Exchange], decoded: int) -> None:
    """Add the exchanges of one pane to its vector (layout.size,). Each is one of ok, client or server error, aborted.

    ``decoded`` of them became rows.
    """
    others = [exchange for exchange in members if exchange.end is not _COMPLETE or not 200 <= exchange.status < 400]
    vector[cells.ok] += len(members) - len(others)
    for exchange in others:
        vector[_outcome(exchange, cells)] += 1
    vector[cells.requests] += len(members)
    vector[cells.decoded] += decoded
    vector[cells.request_bytes] += sum(exchange.request_bytes for exchange in members)
    vector[cells.response_bytes] += sum(exchange.response_bytes for exchange in members)
    _count_times(vector, cells.duration_us, cells.duration, [e.ended_ns - e.started_ns for e in members])
    answered = [e.first_byte_ns - e.started_ns for e in members if e.first_byte_ns]
    _count_times(vector, cells.first_byte_us, cells.first_byte, answered)


def _outcome(exchange: Exchange, cells: TrafficCells) -> int:
    if exchange.end is End.DISCONNECT:
        return cells.aborted
    if exchange.end is End.ERROR or exchange.status == 0 or exchange.status >= 500:
        return cells.server_error
    return cells.client_error if exchange.status >= 400 else cells.ok


def _count_times(vector: IntVector, sum_cell: int, bins: slice, times_ns: Sequence[int]) -> None:
    times = np.maximum(np.array(times_ns, dtype=np.int64), 0)
    vector[sum_cell] += (times // _NS_PER_US).sum()
    places = np.searchsorted(_EDGES_NS, times, side="left")
    vector[bins] += np.bincount(places, minlength=len(_EDGES_NS) + 1)


def exchanges_by_pane(
    exchanges: Iterable[tuple[Exchange, int, str | None]], default_version: str
) -> dict[tuple[str, int], tuple[list[Exchange], int]]:
    """(version, minute) to its exchanges and how many of them became rows, from (exchange, minute, version or None)."""
    alike: dict[tuple[str | None, int], list[Exchange]] = {}
    for exchange, minute, version in exchanges:
        alike.setdefault((version, minute), []).append(exchange)
    found: dict[tuple[str, int], tuple[list[Exchange], int]] = {}
    for (version, minute), members in alike.items():
        key = (default_version if version is None else version, minute)
        before, decoded = found.get(key, ([], 0))
        found[key] = (before + members, decoded + (0 if version is None else len(members)))
    return found


def without_bodies(exchange: Exchange) -> Exchange:
    """What is counted of it, and small bodies, which cost less to hold for a moment than to cut off."""
    if exchange.request_bytes + exchange.response_bytes <= SMALL_BYTES and not exchange.annotations:
        return exchange
    return exchange._replace(
        request_headers=(), request_body=(), response_headers=(), response_body=(), annotations=(), response_tail=()
    )
