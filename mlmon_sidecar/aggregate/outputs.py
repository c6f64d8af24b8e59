"""Cells of the predictions: classes, score, confidence, and whether all are the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.tally import Tally, alarm_table, fixed_point
from mlmon_sidecar.statistics.layout import CONFIDENCE_ALARM, CONFIDENCE_EDGES, IDENTICAL_BITS, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mlmon_sidecar.aggregate.categorical import RedactCategory
    from mlmon_sidecar.aggregate.tally import Mask
    from mlmon_sidecar.records import FloatVector, IntVector

PREDICTION = "prediction"
"""The name under which class texts pass the redactor."""

PPM = 1_000_000
MAX_REMEMBERED = 4096  # class texts, and predictions whose hash is remembered; then the memory starts afresh
MAX_REMEMBERED_TEXT = 200  # characters of one that is
_CLASS, _SCORE_CLASS, _CONFIDENCE = 2, 4, 5  # lines in the tally, in the order of ``_lines``
_CLASS_WEIGHT, _SCORE_ALARM, _CONFIDENCE_WEIGHT = 8, 9, 10
_SCORE_SUM, _SCORE_SQUARES, _CONFIDENCE_SUM, _CONFIDENCE_CLASS = 11, 12, 13, 14
_ROWS, _WEIGHTS = slice(0, 6), slice(6, 11)  # what counts rows, and what counts their weight
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
        self._first, self._condition = _lines(layout)
        self.lines = len(self._first)  # of a tally

    def counting(
        self, tally: Tally, score: FloatVector, predicted: Sequence[str | None], confidence: FloatVector
    ) -> Iterator[None]:
        """In pieces. Whatever the values, every row is counted as a row of the traffic."""
        scored = np.isfinite(score)
        classes, named = self._classes(predicted)
        sure = (confidence >= 0) & (confidence <= 1)
        given = scored | named
        cell, amount = tally.lines(self.lines)
        cell[...] = self._first
        amount[_ROWS], amount[_WEIGHTS] = 1, tally.weight
        cell[_CLASS] += classes
        cell[_CLASS_WEIGHT] += classes
        self._fill_score(cell, amount, np.where(scored, score, 0.0), classes)
        self._fill_confidence(cell, amount, np.where(sure, confidence, 0.0), classes)
        held = np.stack((np.ones_like(given), given, named, scored, scored & bool(self._space.score_edges), sure))
        if not held.all():
            amount *= held[self._condition]
        if given.any():
            yield
            bits = self._bits(score, predicted, given)
            yield
            for at, rows in tally.by_group():
                tally.cells[at, self._cells.identical] += bits[rows].sum(axis=0, dtype=np.int64)

    def _fill_score(self, cell: IntVector, amount: IntVector, score: FloatVector, classes: IntVector) -> None:
        space = self._space
        amount[_SCORE_SUM] = fixed_point(score, space.score_center, space.score_scale)
        np.multiply(amount[_SCORE_SUM], amount[_SCORE_SUM], out=amount[_SCORE_SQUARES])
        bins = self._score_edges.searchsorted(score)
        cell[_SCORE_CLASS] += bins * (len(space.classes) + 1) + classes
        cell[_SCORE_ALARM] += self._score_alarm[bins]

    def _fill_confidence(self, cell: IntVector, amount: IntVector, confidence: FloatVector, classes: IntVector) -> None:
        bins = _CONFIDENCE_EDGES.searchsorted(confidence)
        cell[_CONFIDENCE] += bins
        cell[_CONFIDENCE_WEIGHT] += _CONFIDENCE_ALARM[bins]
        amount[_CONFIDENCE_SUM] = np.rint(confidence * PPM)
        if self._space.joint:
            cell[_CONFIDENCE_CLASS] += bins * (len(self._space.classes) + 1) + classes
            amount[_CONFIDENCE_CLASS] = 1

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

    def _bits(self, score: FloatVector, predicted: Sequence[str | None], given: Mask) -> NDArray[np.uint8]:
        """(rows, IDENTICAL_BITS) of a hash of each row's answer, 0 where none was given."""
        if len(self._words) > MAX_REMEMBERED:
            self._words = {}
        known = self._words
        texts = [f"{name or ''}|{value!r}" for name, value in zip(predicted, score.tolist(), strict=True)]
        for text in set(texts).difference(known):
            known[text] = _hash32(text)
        words = np.fromiter(map(known.__getitem__, texts), dtype=">u4", count=len(texts))
        bits = np.unpackbits(words.view(np.uint8).reshape(-1, IDENTICAL_BITS // 8), axis=1)
        bits[~given] = 0
        return bits


def _lines(layout: Layout) -> tuple[IntVector, IntVector]:
    """The first cell of each line (lines, 1), and the condition for its rows (lines,), as ``count`` numbers them."""
    cells, traffic = layout.outputs, layout.traffic
    always, given, named, scored, binned, sure = range(6)
    lines = (
        (traffic.rows, always), (cells.rows, given), (cells.classes.start, named), (cells.score_rows, scored),
        (cells.score_class.start, binned), (cells.confidence.start, sure),
        (traffic.rows + 1, always), (cells.rows + 1, given), (cells.class_weight.start, named),
        (cells.score_alarm.start, binned), (cells.confidence_alarm.start, sure),
        (cells.score_moments, scored), (cells.score_moments + 1, scored), (cells.confidence_ppm, sure),
        *([(cells.confidence_class.start, sure)] if layout.prediction.joint else []),
    )  # fmt: skip
    first, condition = zip(*lines, strict=True)
    return np.array(first, dtype=np.int64).reshape(-1, 1), np.array(condition, dtype=np.int64)


def _hash32(text: str) -> int:
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")
