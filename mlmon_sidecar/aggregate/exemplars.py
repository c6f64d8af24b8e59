"""Failed exchanges, a few a pane, as examples beside the counts: they are counted as traffic alone, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlmon_sidecar.aggregate.samples import hash64
from mlmon_sidecar.aggregate.traffic import all_fine
from mlmon_sidecar.records import End, Exchange, Sample
from mlmon_sidecar.statistics.samples import ERRORS_KEPT, smallest

MAX_TYPE_TEXT = 64  # characters of an exception's class name
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
_NS_PER_MS = 1_000_000


def failed(exchange: Exchange) -> bool:
    """The application raised, the client went away, or the answer was a server error."""
    return exchange.end is not _COMPLETE or exchange.status >= 500


def error_samples(exchanges: Sequence[Exchange], unix_at: Callable[[int], int]) -> tuple[Sample, ...]:
    """At most ``ERRORS_KEPT`` of the failed ones, by hash of the prediction id, whatever share of rows is kept.

    A value is ``<Unix ms> <duration ms> <status> <end> <class of the exception or ->``. Never a path, never a text.
    """
    if all_fine(exchanges):
        return ()
    return smallest(
        (Sample(hash64(e.prediction_id) >> 1, _said(e, unix_at(e.started_ns))) for e in exchanges if failed(e)),
        ERRORS_KEPT,
    )


def _said(exchange: Exchange, at_ns: int) -> str:
    duration_ms = max(0, exchange.ended_ns - exchange.started_ns) // _NS_PER_MS
    kind = exchange.error_type[:MAX_TYPE_TEXT] or "-"
    return f"{at_ns // _NS_PER_MS} {duration_ms} {exchange.status} {exchange.end} {kind}"
