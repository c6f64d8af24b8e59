"""Cells of the predictions: classes, score, confidence, and whether all are the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.tally import Tally, alarm_table, fixed_point
from mlmon_sidecar.statistics.layout import CONFIDENCE_ALARM, CONFIDENCE_EDGES, IDENTICAL_BITS, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlmon_sidecar.aggregate.categorical import RedactCategory
    from mlmon_sidecar.records import FloatVector, IntVector

PREDICTION = "prediction"
"""The name under which class texts pass the redactor."""

PPM = 1_000_000
_CONFIDENCE_EDGES = np.array(CONFIDENCE_EDGES)
_CONFIDENCE_ALARM = alarm_table(len(CONFIDENCE_EDGES), CONFIDENCE_ALARM)


class OutputCounter:
    """Counts score (rows,), predicted classes and confidence (rows,)."""

    def __init__(self, layout: Layout, redact: RedactCategory) -> None:
        self._space, self._cells, self._redact = layout.prediction, layout.outputs, redact
        self._class_index = {name: at for at, name in enumerate(self._space.classes)}
        self._score_edges = np.array(self._space.score_edges)
        self._score_alarm = alarm_table(len(self._space.score_edges), self._space.score_alarm)

    def count(self, tally: Tally, score: FloatVector, predicted: Sequence[str | None], confidence: FloatVector) -> None:
        cells = self._cells
        scored = np.isfinite(score)
        named = np.array([name is not None for name in predicted], dtype=bool)
        tally.add_with_weight(cells.rows, scored | named)
        classes = self._classes(predicted)
        tally.add(cells.classes.start + classes, where=named)
        tally.add(cells.class_weight.start + classes, tally.weight, where=named)
        self._count_score(tally, np.where(scored, score, 0.0), scored, classes)
        sure = (confidence >= 0) & (confidence <= 1)
        bins = np.searchsorted(_CONFIDENCE_EDGES, confidence, side="left")
        tally.add(cells.confidence.start + bins, where=sure)
        tally.add(cells.confidence_alarm.start + _CONFIDENCE_ALARM[np.where(sure, bins, 0)], tally.weight, where=sure)
        parts = np.rint(np.where(sure, confidence, 0.0) * PPM).astype(np.int64)
        tally.add(cells.confidence_ppm, parts)
        self._count_bits(tally, score, predicted, scored | named)

    def _count_score(self, tally: Tally, score: FloatVector, scored: np.ndarray, classes: IntVector) -> None:
        cells, space = self._cells, self._space
        tally.add(cells.score_rows, where=scored)
        fixed = fixed_point(score, space.score_center, space.score_scale)
        tally.add(cells.score_moments, fixed, where=scored)
        tally.add(cells.score_moments + 1, fixed * fixed, where=scored)
        if space.score_edges:
            bins = np.searchsorted(self._score_edges, score, side="left")
            tally.add(cells.score_class.start + bins * (len(space.classes) + 1) + classes, where=scored)
            tally.add(cells.score_alarm.start + self._score_alarm[bins], tally.weight, where=scored)

    def _classes(self, predicted: Sequence[str | None]) -> IntVector:
        """(rows,): the class of each row, the last one for any other and for none."""
        other = len(self._class_index)
        places = {
            name: other if name is None else self._class_index.get(self._redact(PREDICTION, name), other)
            for name in set(predicted)
        }
        return np.array([places[name] for name in predicted], dtype=np.int64)

    def _count_bits(self, tally: Tally, score: FloatVector, predicted: Sequence[str | None], given: np.ndarray) -> None:
        hashes: dict[str, int] = {}
        rows = np.flatnonzero(given)
        if not len(rows):
            return
        words = np.empty(len(rows), dtype=">u4")
        for at, row in enumerate(rows.tolist()):
            text = f"{predicted[row] or ''}|{float(score[row])!r}"
            word = hashes.get(text)
            if word is None:
                word = hashes[text] = _hash32(text)
            words[at] = word
        bits = np.unpackbits(words.view(np.uint8).reshape(-1, IDENTICAL_BITS // 8), axis=1).astype(np.int64)
        order = np.argsort(tally.group[rows], kind="stable")
        group = tally.group[rows][order]
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        tally.cells[group[starts], self._cells.identical] += np.add.reduceat(bits[order], starts, axis=0)


def _hash32(text: str) -> int:
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")
