"""What the predictions of a reference look like, and what its labels say about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.outputs import PREDICTION
from mlmon_sidecar.baseline.cuts import SCORE_BINS, cut
from mlmon_sidecar.baseline.errors import ErrorTally
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.statistics.calibration import calibrate
from mlmon_sidecar.statistics.expected_matrix import calibrate_classes
from mlmon_sidecar.statistics.layout import CONFIDENCE_EDGES, PredictionSpace

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.columns import RedactCategory
    from mlmon_sidecar.baseline.rows import Rows
    from mlmon_sidecar.baseline.sketch import Cells
    from mlmon_sidecar.decode.options import DecodeOptions

MAX_CLASSES = 50
MAX_JOINT_CLASSES = 20  # with more of them confidence is not counted by class: 51 cells each
POSITIVE_NAMES = ("1", "true", "yes")

Classes = Sequence[str | None]


class KindWatch:
    """Tells "binary", "multiclass", "regression" or "none" by what the columns of a table hold.

    A score beside at most two classes, or alone and within [0, 1], speaks for one of them.
    """

    def __init__(self) -> None:
        self._classes: set[str | None] = set()  # a few more than ``MAX_CLASSES`` are enough
        self._fractional = self._texts = self._scored = self._beyond = False

    def add(self, predictions: Sequence[object], scores: Sequence[object]) -> None:
        given = [value for value in predictions if value is not None]
        self._texts = self._texts or any(isinstance(value, str) for value in given)
        self._fractional = self._fractional or any(isinstance(v, float) and not v.is_integer() for v in given)
        if len(self._classes) <= MAX_CLASSES:
            self._classes |= set(map(class_text, given))
        numbers = [value for value in scores if isinstance(value, (int, float))]
        self._scored = self._scored or bool(numbers)
        self._beyond = self._beyond or not all(0 <= value <= 1 for value in numbers)

    @property
    def kind(self) -> str:
        if self._classes:
            if self._fractional or (len(self._classes) > MAX_CLASSES and not self._texts):
                return "regression"
            return "binary" if len(self._classes) <= 2 else "multiclass"
        if not self._scored:
            return "none"
        return "regression" if self._beyond else "binary"


def positive_of(classes: Sequence[str]) -> str:
    """The class a binary score speaks for, by its name, else the last by name; "1" where there are none."""
    lowered = {name.lower(): name for name in classes}
    usual = next((lowered[name] for name in POSITIVE_NAMES if name in lowered), "")
    return usual or max(classes, default="1")


def texts(column: Sequence[object], redact: RedactCategory) -> list[str | None]:
    """Classes as serving writes them."""
    named = (class_text(value) for value in column)
    return [None if name is None else redact(PREDICTION, name) for name in named]


def prediction_space(
    kind: str, counts: Mapping[str, int], scores: Cells, options: DecodeOptions, redact: RedactCategory
) -> PredictionSpace:
    """Classes of predictions and labels, negative before positive; score edges at reference quantiles.

    Args:
        counts: rows of each class, predicted or actual, as serving writes it.
        scores: empty without any.
    """
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    classes = sorted(ranked[:MAX_CLASSES]) if kind in ("binary", "multiclass") else []
    positive = redact(PREDICTION, options.positive) if kind == "binary" else ""
    if kind == "binary":
        negative = redact(PREDICTION, options.other_class)
        classes = [negative, positive, *(name for name in classes if name not in (negative, positive))]
    cuts = cut(scores, SCORE_BINS) if scores.total else None
    center, spread = scores.mean_and_spread() if scores.total else (0.0, 0.0)
    return PredictionSpace(
        kind=kind,
        classes=tuple(classes),
        positive=positive,
        score_edges=cuts.edges if cuts else (),
        score_alarm=cuts.alarm if cuts else (),
        score_center=center,
        score_scale=spread if spread > 0 else 1.0,
        threshold=options.cut if kind == "binary" and cuts else None,
        joint=kind == "multiclass" and len(classes) <= MAX_JOINT_CLASSES,
    )


class Judge:
    """What labels say about predictions, counted a few rows at a time."""

    def __init__(self, space: PredictionSpace) -> None:
        self._space = space
        self._place = {name: at for at, name in enumerate(space.classes)}
        self._confusion = np.zeros((len(space.classes), len(space.classes)), dtype=np.int64)
        edges = CONFIDENCE_EDGES if space.kind == "multiclass" else space.score_edges
        self._edges = np.array(edges)
        self._bins = np.zeros((2, len(edges) + 1), dtype=np.int64)  # all labelled rows, and the hits among them
        self._errors = ErrorTally(space.score_center) if space.kind == "regression" else None
        self._by_class = np.zeros((2, len(space.classes) * space.joint, len(edges) + 1), dtype=np.int64)  # the same

    def add(self, rows: Rows, predicted: Classes) -> None:
        """Rows with labels; ``predicted`` as serving writes them.

        Probabilities are learned on the half of the rows that a hash chooses: of the row's id, or of all it holds.
        The other half stays unseen, so that a benchmark may judge the estimate on it.
        """
        if self._errors is not None:
            self._errors.add(rows)
            return
        labels = rows.labels or ()
        counts = rows.counts.tolist()
        for given, true, count in zip(predicted, labels, counts, strict=True):
            if given in self._place and true in self._place:
                self._confusion[self._place[true], self._place[given]] += count
        binary = self._space.kind == "binary" and bool(self._space.score_edges)
        measure = rows.batch.score if binary else rows.batch.confidence
        chosen = np.isfinite(measure) & np.array([true is not None for true in labels])
        if not (binary or self._space.kind == "multiclass") or not chosen.any():
            return
        chosen &= _coins(rows)
        bins = np.searchsorted(self._edges, measure, side="left")
        meant = [self._space.positive] * len(labels) if binary else predicted
        hit = np.array([true == name for true, name in zip(labels, meant, strict=True)])
        np.add.at(self._bins[0], bins[chosen], rows.counts[chosen])
        np.add.at(self._bins[1], bins[chosen & hit], rows.counts[chosen & hit])
        if self._space.joint:
            place = np.array([self._place.get(name or "", -1) for name in predicted])
            for table, kept in zip(self._by_class, (chosen & (place >= 0), chosen & (place >= 0) & hit), strict=True):
                np.add.at(table, (place[kept], bins[kept]), rows.counts[kept])

    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """(classes, classes) counts, actual-major, of rows where both are known classes; empty without any."""
        return tuple(tuple(map(int, row)) for row in self._confusion) if self._confusion.any() else ()

    def errors(self) -> tuple[tuple[int, int, int], ...]:
        """(bin, rows, rows if every answer were the mean) of a regression model's errors; empty without."""
        return () if self._errors is None else self._errors.bins()

    def calibration(self) -> tuple[tuple[float, ...], int]:
        """(P(positive | score bin), rows) of a binary model, (P(right | confidence bin), rows) of one with several
        classes. Without both outcomes there is nothing to learn: empty, 0."""
        rows, hits = self._bins
        total = int(rows.sum())
        if not 0 < int(hits.sum()) < total:
            return (), 0
        return tuple(float(p) for p in calibrate(hits, rows)), total

    def class_calibration(self) -> tuple[tuple[float, ...], ...]:
        """(classes, confidence bins) P(right | predicted class, bin), learned on the same rows; empty without."""
        rows, hits = self._by_class
        return calibrate_classes(hits, rows) if self.calibration()[1] and rows.any() else ()


def _coins(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    named = [name is not None for name in rows.batch.aliases]
    by_content = np.zeros(len(named), dtype=np.uint64) if all(named) else rows.hashes & np.uint64(1)
    pairs = zip(rows.batch.aliases, by_content.tolist(), strict=True)
    return np.array([bool(word) if name is None else _coin(name) for name, word in pairs], dtype=bool)


def _coin(text: str) -> bool:
    return bool(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] & 1)
