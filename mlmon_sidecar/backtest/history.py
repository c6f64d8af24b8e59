"""Rows of a file as one batch in the order of time, and what was wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.backtest.tables import Lines, read_table
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.decode.frames import batch_from_columns, unix_ns
from mlmon_sidecar.errors import BaselineError, DecodeError

if TYPE_CHECKING:
    from mlmon_sidecar.decode.options import DecodeOptions
    from mlmon_sidecar.records import IntVector, PredictionBatch
    from mlmon_sidecar.statistics.layout import Layout

# An integer is seconds, milliseconds, microseconds or nanoseconds since 1970, whichever lies nearest to our time.
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
NO_TIME = -(1 << 63)


@dataclass(frozen=True, slots=True)
class History:
    """What a file held.

    Attributes:
        batch: rows whose time could be read, ascending in time.
        labels: (rows,) of the label column; None without one.
        bad_lines: lines that were no rows.
        bad_times: rows whose time could not be read.
        late: rows that stood behind a later one; they were put in order.
        notes: what else a reader should know, one sentence each.
    """

    batch: PredictionBatch
    labels: Sequence[object] | None = None
    bad_lines: int = 0
    bad_times: int = 0
    late: int = 0
    notes: tuple[str, ...] = field(default=())


def read_history(path: Path, said: Roles, known: Roles, layout: Layout, options: DecodeOptions) -> History:
    """Read ``path``.

    Args:
        said: columns named for this file; each must be there.
        known: columns of the baseline's data: they hold where nothing was said and the file has them.
        options: as serving reads predictions.

    Raises ``BaselineError``: ``column_missing``, ``timestamp_missing``, ``no_rows``, and as ``read_table``.
    """
    lines = read_table(path, layout)
    roles = resolved(said, known, lines)
    if not roles.timestamp:
        raise BaselineError(
            f"{path.name}: no column tells when its rows were predicted",
            code="timestamp_missing",
            hint="Name it with --timestamp COLUMN: without times nothing can be detected early or late.",
        )
    times = event_times(lines.columns[roles.timestamp])
    order = np.flatnonzero(times != NO_TIME)
    if not len(order):
        raise BaselineError(
            f"{path.name}: no row has a time that can be read",
            code="no_rows",
            hint=f"Column {roles.timestamp!r}: use ISO 8601 text or Unix time.",
        )
    late = int((np.diff(times[order]) < 0).sum())
    if late:
        order = order[np.argsort(times[order], kind="stable")]
    batch = _batch(lines, roles, times[order], order, layout, options)
    return History(
        batch=batch,
        labels=_taken(lines.columns[roles.label], order) if roles.label else None,
        bad_lines=lines.bad,
        bad_times=lines.rows - len(order),
        late=late,
        notes=tuple(_notes(batch, roles, known, layout)),
    )


def resolved(said: Roles, known: Roles, lines: Lines) -> Roles:
    """The columns' roles: what was said for this file, else what the baseline's data called them."""
    chosen = {}
    for role in (entry.name for entry in fields(Roles)):
        wanted, usual = getattr(said, role), getattr(known, role)
        if wanted and wanted not in lines.columns:
            raise BaselineError(
                f"the data has no column {wanted!r}",
                code="column_missing",
                hint=f"It has {', '.join(sorted(lines.columns)[:20])}.",
            )
        chosen[role] = wanted or (usual if usual in lines.columns else "")
    return Roles(**chosen)


def event_times(column: Sequence[object]) -> IntVector:
    """(rows,) Unix ns; ``NO_TIME`` where a value is no time."""
    return np.array([_event_time(value) for value in column], dtype=np.int64)


def _event_time(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        at = value * next((scale for limit, scale in _UNITS if abs(value) < limit), 1)
    else:
        try:
            at = unix_ns(value)
        except (DecodeError, OverflowError):
            return NO_TIME
    return at if abs(at) < -NO_TIME else NO_TIME


def _batch(
    lines: Lines, roles: Roles, times: IntVector, order: IntVector, layout: Layout, options: DecodeOptions
) -> PredictionBatch:
    def role(name: str) -> Sequence[object] | None:
        return _taken(lines.columns[name], order) if name else None

    counted = {feature.name for feature in layout.features}
    counted |= {name.partition(".")[0] for name in counted}  # columns that texts and vectors become
    counted |= {dimension.name for dimension in layout.segments.dimensions}
    return batch_from_columns(
        options.name,
        now_ns=0,
        features={
            name: _taken(column, order)
            for name, column in lines.columns.items()
            if name in counted and name not in roles.named()
        },
        predictions=role(roles.prediction),
        scores=role(roles.score),
        segments=role(roles.segment),
        ids=role(roles.id),
        times=times,
        options=options,
    )


def _taken(column: Sequence[object], order: IntVector) -> list[object]:
    return [column[at] for at in order.tolist()]


def _notes(batch: PredictionBatch, roles: Roles, known: Roles, layout: Layout) -> list[str]:
    absent = [feature.name for feature in layout.features if feature.name not in batch.features]
    notes = [f"{name}: not in the data, so it counts as missing in every row" for name in absent]
    if not (roles.prediction or roles.score) and (known.prediction or known.score):
        notes.append("the data holds no predictions, so nothing is said about them")
    return notes
