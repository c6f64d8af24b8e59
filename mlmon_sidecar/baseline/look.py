"""One or two looks at every row, after which the layout can be cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.baseline.columns import ColumnLook, RedactCategory
from mlmon_sidecar.baseline.counting import HALF_HOUR_NS
from mlmon_sidecar.baseline.predictions import texts
from mlmon_sidecar.baseline.row_sample import RowSample
from mlmon_sidecar.baseline.segments import crowded, look_at, look_closer_at
from mlmon_sidecar.baseline.sketch import Cells, Numbers
from mlmon_sidecar.baseline.tokens import Texts

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.rows import RowReader, Rows
    from mlmon_sidecar.records import FloatVector, IntVector

CAP, LEAST_CAP = 8192, 512  # values of one column that are told apart
ALL_CELLS = 1 << 21  # the same, of all columns together: wide tables are looked at more coarsely
SAMPLED_ROWS, LEAST_SAMPLED_ROWS = 4096, 512  # for what columns have to do with time and with each other
SAMPLED_CELLS = 1 << 22
TIME_CORRELATION = 0.95
CLASS_CAP = 8192


class Look:
    """What all rows show."""

    def __init__(
        self,
        names: Sequence[str],
        redact: RedactCategory,
        *,
        timed: bool,
        classes: bool,
        dimensions: Sequence[str] = (),
    ) -> None:
        """
        Args:
            names: of the table's feature columns, in the order their features are to have.
            classes: whether predictions and labels name classes.
            dimensions: what rows are split by.
        """
        width = max(1, len(names))
        self._names, self._redact, self._timed, self._classed = names, redact, timed, classes
        self._cap = max(LEAST_CAP, min(CAP, ALL_CELLS // width))
        self._columns: dict[str, ColumnLook] = {}
        self.dimensions = {name: ColumnLook(name, redact, self._cap) for name in dimensions}
        self._scores, self._classes = Numbers(CAP), Texts(CLASS_CAP)
        self.sample = RowSample(max(LEAST_SAMPLED_ROWS, min(SAMPLED_ROWS, SAMPLED_CELLS // width)))
        self._half_hours: IntVector = np.zeros(0, dtype=np.int64)
        self.rows = 0

    def first(self, reader: RowReader, progress: Callable[[float], None]) -> None:
        for rows in reader.read(progress):
            self.rows += int(rows.counts.sum())
            for name, column in rows.batch.features.items():
                if name not in self._columns:
                    self._columns[name] = ColumnLook(name, self._redact, self._cap)
                self._columns[name].add(column, rows.counts)
            look_at(self.dimensions, rows)
            self._scores.add(*_scores(rows))
            self._classes.add(self._class_counts(rows))
            self.sample.add(rows)
            if self._timed:
                self._half_hours = np.union1d(self._half_hours, rows.batch.event_ns // HALF_HOUR_NS)

    @property
    def needs_second(self) -> bool:
        columns = self._closer() or crowded(self.dimensions)
        return bool(columns) or self._scores.is_crowded or self._classes.is_crowded

    def second(self, reader: RowReader, progress: Callable[[float], None]) -> None:
        """Where it ``needs_second``."""
        closer = self._closer()
        for rows in reader.read(progress):
            for name, column in closer.items():
                if name in rows.batch.features:
                    column.look_closer(rows.batch.features[name], rows.counts)
            look_closer_at(self.dimensions, rows)
            if self._scores.is_crowded:
                self._scores.look_closer(*_scores(rows))
            if self._classes.is_crowded:
                self._classes.look_closer(self._class_counts(rows))

    def columns(self) -> list[ColumnLook]:
        """Every column, in the table's order; parts of a column that was taken apart by name, where it stood."""
        place = {name: at for at, name in enumerate(self._names)}

        def order(name: str) -> tuple[int, str]:
            base = name
            while base not in place and "." in base:
                base = base.rpartition(".")[0]
            return place.get(base, len(place)), name

        held = {name: column for name, column in self._columns.items() if column.present or not self._taken_apart(name)}
        return [held[name] for name in sorted(held, key=order)]

    def unfit(self, column: ColumnLook) -> str:
        """Why a column is no feature; "" where it is one."""
        reason = column.unfit()
        if column.is_numeric and self._timed and reason in ("", "numbers the rows"):
            followed = abs(self.sample.correlation(column.name)) > TIME_CORRELATION
            return "follows time" if followed else reason
        return reason

    @property
    def scores(self) -> Cells:
        """Empty without any."""
        return self._scores.cells()

    @property
    def classes(self) -> Mapping[str, int]:
        """Rows of each class, predicted or actual."""
        return self._classes.tallied().counts

    @property
    def half_hours(self) -> IntVector:
        """(R,) ascending numbers of the half hours with rows."""
        return self._half_hours

    def _closer(self) -> dict[str, ColumnLook]:
        looks = self._columns.items()
        return {name: column for name, column in looks if column.needs_closer and not self.unfit(column)}

    def _class_counts(self, rows: Rows) -> Mapping[str, int]:
        found: dict[str, int] = {}
        if not self._classed:
            return found
        counts = rows.counts.tolist()
        for classes in (texts(rows.batch.predicted, self._redact), rows.labels or ()):
            for name, count in zip(classes, counts, strict=False):
                if name is not None:
                    found[name] = found.get(name, 0) + count
        return found

    def _taken_apart(self, name: str) -> bool:
        return any(other.startswith(f"{name}.") for other in self._columns)


def _scores(rows: Rows) -> tuple[FloatVector, IntVector]:
    finite = np.isfinite(rows.batch.score)
    return rows.batch.score[finite], rows.counts[finite]
