"""Labels as the hub would have known them: each from the moment it was observed, corrections included."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.backtest.history import NO_TIME, event_times, resolved
from mlmon_sidecar.backtest.tables import read_table
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.decode.scalars import plain
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.outcomes.slices import closing_day
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.error_bins import bin_of, text_of

if TYPE_CHECKING:
    from mlmon_sidecar.records import PredictionBatch
    from mlmon_sidecar.redact.redactor import Redactor

DAY_NS = 86_400 * 1_000_000_000
AT_ONCE = "nothing tells when the labels were observed, so each counts as known at once"
ID_COLUMNS = ("id", "prediction_id")
LABEL_COLUMNS = ("label",)
TIME_COLUMNS = ("observed_at", "timestamp")


class Said(NamedTuple):
    """One label, and the row of the batch that it is about."""

    row: int
    label: str
    observed_ns: int


class Gain(NamedTuple):
    """What a label adds to the counts, or a correction takes away, once it is known."""

    known_ns: int
    cell: OutcomeCell


class Labels(NamedTuple):
    """Labels of one history."""

    said: Sequence[Said] = ()
    unknown: int = 0  # of predictions that the history does not hold
    bad: int = 0  # lines without an id, a label or a time
    notes: tuple[str, ...] = ()


def labels_beside(batch: PredictionBatch, column: Sequence[object]) -> Labels:
    """Labels of a column of the data itself. When they became known is not told, so they count as known at once."""
    texts = (class_text(plain(value)) for value in column)
    said = [Said(row, text, int(batch.event_ns[row])) for row, text in enumerate(texts) if text is not None]
    return Labels(said, notes=(AT_ONCE,))


def read_labels(path: Path, batch: PredictionBatch, said: Roles, usual: Roles) -> Labels:
    """Labels of a file, joined by id: each means the latest prediction of that id before it was observed.

    Columns are those of ``said`` that the file has, else of ``usual``, else "id", "label" and "observed_at".

    Raises ``BaselineError``: ``column_missing``, and as ``read_table``.
    """
    lines = read_table(path)
    roles = resolved(resolved(Roles(), said, lines), usual, lines)
    id_column = roles.id or _first(ID_COLUMNS, lines.columns, path, "id", "--id")
    label_column = roles.label or _first(LABEL_COLUMNS, lines.columns, path, "label", "--label")
    time_column = next((name for name in TIME_COLUMNS if name in lines.columns), roles.timestamp)
    ids = [class_text(plain(value)) for value in lines.columns[id_column]]
    texts = [class_text(plain(value)) for value in lines.columns[label_column]]
    times = event_times(lines.columns[time_column]).tolist() if time_column else [None] * lines.rows
    return _joined(batch, zip(ids, texts, times, strict=True), lines.bad, () if time_column else (AT_ONCE,))


def _joined(
    batch: PredictionBatch,
    lines: Iterable[tuple[str | None, str | None, int | None]],
    bad: int,
    notes: tuple[str, ...],
) -> Labels:
    """(id, label, when it was observed; None: with the latest prediction of that id)."""
    rows_of = _rows_by_id(batch)
    joined, unknown = [], 0
    for id_, text, observed in lines:
        if id_ is None or text is None or observed == NO_TIME:
            bad += 1
            continue
        moments, rows = rows_of.get(id_, ((), ()))
        at = len(moments) if observed is None else bisect_right(moments, observed)
        if at:
            joined.append(Said(rows[at - 1], text, moments[at - 1] if observed is None else observed))
        else:
            unknown += 1
    return Labels(joined, unknown, bad, notes)


def gains(batch: PredictionBatch, labels: Iterable[Said], redactor: Redactor) -> list[Gain]:
    """Signed counts in the order in which they became known; a label said again changes nothing."""
    clean = _Clean(redactor)
    last: dict[int, OutcomeCell] = {}
    found = []
    for row, text, observed in sorted(labels, key=lambda item: item.observed_ns):
        event = int(batch.event_ns[row])
        cell = OutcomeCell(
            batch.version, event // DAY_NS, max(0, (observed - event) // DAY_NS), clean.text(batch.predicted[row]),
            _error(batch, row, text) or clean.text(text), 1,
        )  # fmt: skip
        before = last.get(row)
        if before is not None:
            if before.actual == cell.actual:
                continue
            found.append(Gain(observed, before._replace(rows=-1)))
        last[row] = cell
        found.append(Gain(observed, cell))
    return found


def _error(batch: PredictionBatch, row: int, text: str) -> str:
    """The bin of the error where a number was predicted and the label is one; else ""."""
    score = float(batch.score[row])
    if batch.predicted[row] is not None or not math.isfinite(score):
        return ""
    try:
        error = score - float(text)
    except ValueError:
        return ""
    return text_of(int(bin_of(np.array([error]))[0])) if math.isfinite(error) else ""


class LabelBook:
    """What a store would have known of labels, at each time of a replay."""

    def __init__(self, known: Sequence[Gain]) -> None:
        self._waiting = iter(sorted(known, key=lambda gain: gain.known_ns))
        self._next = next(self._waiting, None)
        self._open: dict[OutcomeCell, int] = {}  # of cells with rows 0; what is not judged yet
        self._slices: Counter[tuple[int, int]] = Counter()  # (day of the prediction, age) to labels known

    def unjudged(self, closed_by: int) -> list[OutcomeCell]:
        """Of slices closed by that Unix day, what was observed before it began and no seal has marked."""
        self._learn(closed_by)
        return [
            cell._replace(rows=rows)
            for cell, rows in sorted(self._open.items())
            if closing_day(cell.day, cell.age) <= closed_by
        ]

    def slices(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """(prediction day, age, labels) of predictions of the days ``first`` to ``last``, observed before the last."""
        self._learn(last)
        return [(day, age, count) for (day, age), count in sorted(self._slices.items()) if first <= day <= last]

    def _learn(self, day: int) -> None:
        """What was observed before that Unix day."""
        while self._next is not None and self._next.known_ns < day * DAY_NS:
            cell = self._next.cell
            self._add(cell, cell.rows)
            self._slices[cell.day, cell.age] += cell.rows
            self._next = next(self._waiting, None)

    def judge(self, cells: Iterable[OutcomeCell]) -> None:
        for cell in cells:
            self._add(cell, -cell.rows)

    def _add(self, cell: OutcomeCell, rows: int) -> None:
        key = cell._replace(rows=0)
        left = self._open.pop(key, 0) + rows
        if left:
            self._open[key] = left


def last_day(known: Sequence[Gain]) -> int:
    """The Unix day on which everything known is judged; -1 without labels."""
    closings = (max(closing_day(g.cell.day, g.cell.age), g.known_ns // DAY_NS + 1) for g in known)
    return max(closings, default=-1)


class _Clean:
    """Texts as the store holds them."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._known: dict[str | None, str] = {None: ""}

    def text(self, said: str | None) -> str:
        if said not in self._known:
            self._known[said] = self._redactor.short("", said or "")[0]
        return self._known[said]


def _rows_by_id(batch: PredictionBatch) -> dict[str, tuple[Sequence[int], Sequence[int]]]:
    """Id to the moments of its predictions, ascending, and their rows."""
    found: dict[str, tuple[Sequence[int], Sequence[int]]] = {}
    for row, (name, moment) in enumerate(zip(batch.aliases, batch.event_ns.tolist(), strict=True)):
        if name is not None:
            moments, rows = found.get(name, ((), ()))
            found[name] = (*moments, moment), (*rows, row)
    return found


def _first(names: Sequence[str], columns: Iterable[str], path: Path, what: str, option: str) -> str:
    known = list(columns)
    chosen = next(_known(names, known), None)
    if chosen is None:
        raise BaselineError(
            f"{path.name}: no column holds the {what}",
            code="column_missing",
            hint=f"Call it {names[0]!r} or name it with {option}; the file has {', '.join(sorted(known)[:20])}.",
        )
    return chosen


def _known(names: Iterable[str], columns: Sequence[str]) -> Iterator[str]:
    return (name for name in names if name in columns)
