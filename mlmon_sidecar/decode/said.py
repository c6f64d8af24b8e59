"""What a handler said about its own prediction, set against the rows found in the bodies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mlmon_sidecar.decode.columns import Row, flatten
from mlmon_sidecar.decode.json_predictions import per_row
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.output_columns import as_columns
from mlmon_sidecar.decode.outputs import Output, number, read_output
from mlmon_sidecar.decode.scalars import plain
from mlmon_sidecar.decode.sides import Outputs
from mlmon_sidecar.records import Annotation


class SaidRow(NamedTuple):
    """Of one row. None, or empty: not said."""

    features: Row
    prediction: object = None
    confidence: float | None = None
    segment: str | None = None


class Said:
    """The annotations of one exchange. Features extend and replace; everything else replaces.

    As many annotations as rows (more than one) are one a row, in order. Any other number is merged, the later one
    first, and says the same of every row; only a merged prediction may be a list with one item a row.
    """

    def __init__(self, rows: Sequence[SaidRow]) -> None:
        self._rows = rows

    @classmethod
    def of(cls, annotations: Sequence[Annotation], skipped: Counter[str]) -> Said:
        return cls(
            [
                SaidRow(flatten(a.features or {}, skipped), plain(a.prediction), a.confidence, a.segment)
                for a in annotations
            ]
        )

    @property
    def has_features(self) -> bool:
        return any(row.features for row in self._rows)

    @property
    def has_prediction(self) -> bool:
        return any(row.prediction is not None for row in self._rows)

    def for_rows(self, count: int) -> Sequence[SaidRow]:
        """One item a row, or none at all. Raises ``row_mismatch`` for a list of predictions of another length."""
        if not self._rows:
            return []
        if count > 1 and len(self._rows) == count:
            return self._rows
        merged = self._rows[0]
        for row in self._rows[1:]:
            merged = SaidRow(
                merged.features | row.features,
                merged.prediction if row.prediction is None else row.prediction,
                merged.confidence if row.confidence is None else row.confidence,
                merged.segment if row.segment is None else row.segment,
            )
        return [merged._replace(prediction=given) for given in per_row(merged.prediction, count) or [None] * count]


SILENT = Said(())


def with_said(outputs: Outputs, said: Sequence[SaidRow], options: DecodeOptions) -> Outputs:
    """``outputs`` with what the handler said in their place."""
    rows = []
    for at, row in enumerate(said):
        output = Output(float(outputs.score[at]), outputs.predicted[at], float(outputs.confidence[at]))
        if row.prediction is not None:
            output = read_output(row.prediction, options)
        if row.confidence is not None:
            output = output._replace(confidence=number(plain(row.confidence)))
        rows.append(output)
    return as_columns(rows)
