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
    from mlmon_sidecar.aggregate.tally import Mask
    from mlmon_sidecar.records import FloatVector, IntVector

PREDICTION = "prediction"
"""The name under which class texts pass the redactor."""

PPM = 1_000_000
MAX_REMEMBERED = 4096  # class texts, and predictions whose hash is remembered; then the memory starts afresh
MAX_REMEMBERED_TEXT = 200  # characters of one that is
_CONFIDENCE_EDGES = np.array(CONFIDENCE_EDGES)
_CONFIDENCE_ALARM = alarm_table(len(CONFIDENCE_EDGES), CONFIDENCE_ALARM)


class OutputCounter:
    """Counts score (rows,), predicted classes and confidence (rows,)."""

    def __init__(self, layout: Layout, redact: RedactCategory) -> None:
        self._space, self._cells, self._redact = layout.prediction, layout.outputs, redact
        self._class_index = {name: at for at, name in enumerate(self._space.classes)}
        self._score_edges = np.array(self._space.score_edges)
        self._score_alarm = alarm_table(len(self._space.score_edges), self._space.score_alarm)
        self._places: dict[str | None, int] = {}  # class -> twice its place, and one more where there is a class
        self._words: dict[str, int] = {}  # prediction as text -> its hash

    def count(self, tally: Tally, score: FloatVector, predicted: Sequence[str | None], confidence: FloatVector) -> None:
        scored = np.isfinite(score)
        classes, named = self._classes(predicted)
        given = scored | named
        tally.add(self._cells.rows, where=given)
        tally.add(self._cells.rows + 1, tally.weight, where=given)
        tally.add(self._cells.classes.start + classes, where=named)
        tally.add(self._cells.class_weight.start + classes, tally.weight, where=named)
        if scored.any():
            self._count_score(tally, np.where(scored, score, 0.0), scored, classes)
        sure = (confidence >= 0) & (confidence <= 1)
        if sure.any():
            self._count_confidence(tally, np.where(sure, confidence, 0.0), sure)
        self._count_bits(tally, score, predicted, given)

    def _count_score(self, tally: Tally, score: FloatVector, scored: Mask, classes: IntVector) -> None:
        cells, space = self._cells, self._space
        tally.add(cells.score_rows, where=scored)
        fixed = fixed_point(score, space.score_center, space.score_scale)
        tally.add(cells.score_moments, fixed, where=scored)
        tally.add(cells.score_moments + 1, fixed * fixed, where=scored)
        if space.score_edges:
            bins = self._score_edges.searchsorted(score)
            tally.add(cells.score_class.start + bins * (len(space.classes) + 1) + classes, where=scored)
            tally.add(cells.score_alarm.start + self._score_alarm[bins], tally.weight, where=scored)

    def _count_confidence(self, tally: Tally, confidence: FloatVector, sure: Mask) -> None:
        bins = _CONFIDENCE_EDGES.searchsorted(confidence)
        tally.add(self._cells.confidence.start + bins, where=sure)
        tally.add(self._cells.confidence_alarm.start + _CONFIDENCE_ALARM[bins], tally.weight, where=sure)
        tally.add(self._cells.confidence_ppm, np.rint(confidence * PPM).astype(np.int64))

    def _classes(self, predicted: Sequence[str | None]) -> tuple[IntVector, Mask]:
        """(rows,) each: the place of each row's class, the last one for any other and for none; whether it has one."""
        if len(self._places) > MAX_REMEMBERED:
            self._places = {}
        found, other = self._places, len(self._class_index)
        for name in set(predicted).difference(found):
            place = other if name is None else self._class_index.get(self._redact(PREDICTION, name), other)
            found[name] = 2 * place + (name is not None)
        places = np.fromiter(map(found.__getitem__, predicted), dtype=np.int64, count=len(predicted))
        return places >> 1, (places & 1).astype(bool)

    def _count_bits(self, tally: Tally, score: FloatVector, predicted: Sequence[str | None], given: Mask) -> None:
        if not given.any():
            return
        if len(self._words) > MAX_REMEMBERED:
            self._words = {}
        known = self._words
        texts = [f"{name or ''}|{value!r}" for name, value in zip(predicted, score.tolist(), strict=True)]
        for text in set(texts).difference(known):
            known[text] = _hash32(text)
        words = np.fromiter(map(known.__getitem__, texts), dtype=">u4", count=len(texts))
        bits = np.unpackbits(words.view(np.uint8).reshape(-1, IDENTICAL_BITS // 8), axis=1)
        bits[~given] = 0
        for at, rows in tally.by_group():
            tally.cells[at, self._cells.identical] += bits[rows].sum(axis=0, dtype=np.int64)


def _hash32(text: str) -> int:
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")
