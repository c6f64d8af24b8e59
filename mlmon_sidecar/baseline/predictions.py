"""What the predictions of a reference look like, and what its labels say about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.outputs import PREDICTION
from mlmon_sidecar.baseline.cuts import SCORE_BINS, cut
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.statistics.calibration import calibrate
from mlmon_sidecar.statistics.layout import CONFIDENCE_EDGES, PredictionSpace

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.columns import RedactCategory
    from mlmon_sidecar.decode.options import DecodeOptions
    from mlmon_sidecar.records import PredictionBatch

MAX_CLASSES = 50
POSITIVE_NAMES = ("1", "true", "yes")

Classes = Sequence[str | None]


def kind_of(predictions: Sequence[object] | None, scores: Sequence[object] | None) -> str:
    """ "binary", "multiclass", "regression" or "none", from what the columns hold.

    A score beside at most two classes, or alone and within [0, 1], speaks for one of them.
    """
    given = [value for value in predictions or () if value is not None]
    if given:
        fractional = any(isinstance(value, float) and not value.is_integer() for value in given)
        classes = {class_text(value) for value in given}
        if fractional or (len(classes) > MAX_CLASSES and not any(isinstance(value, str) for value in given)):
            return "regression"
        return "binary" if len(classes) <= 2 else "multiclass"
    numbers = [value for value in scores or () if isinstance(value, (int, float))]
    if not numbers:
        return "none"
    return "binary" if all(0 <= value <= 1 for value in numbers) else "regression"


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
    kind: str, batch: PredictionBatch, labels: Classes | None, options: DecodeOptions, redact: RedactCategory
) -> PredictionSpace:
    """Classes of predictions and labels, negative before positive; score edges at reference quantiles."""
    counts = Counter(redact(PREDICTION, name) for name in batch.predicted if name is not None)
    counts.update(name for name in labels or () if name is not None)
    classes = sorted(name for name, _ in counts.most_common(MAX_CLASSES)) if kind in ("binary", "multiclass") else []
    positive = redact(PREDICTION, options.positive) if kind == "binary" else ""
    if kind == "binary":
        negative = redact(PREDICTION, options.other_class)
        classes = [negative, positive, *(name for name in classes if name not in (negative, positive))]
    scores = batch.score[np.isfinite(batch.score)]
    cuts = cut(scores, SCORE_BINS) if len(scores) else None
    spread = float(scores.std()) if len(scores) else 0.0
    return PredictionSpace(
        kind=kind,
        classes=tuple(classes),
        positive=positive,
        score_edges=cuts.edges if cuts else (),
        score_alarm=cuts.alarm if cuts else (),
        score_center=float(scores.mean()) if len(scores) else 0.0,
        score_scale=spread if spread > 0 else 1.0,
        threshold=options.cut if kind == "binary" and cuts else None,
    )


def confusion_of(classes: Sequence[str], predicted: Classes, actual: Classes) -> tuple[tuple[int, ...], ...]:
    """(classes, classes) counts, actual-major, of rows where both are known classes; empty without any."""
    place = {name: at for at, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for given, true in zip(predicted, actual, strict=True):
        if given in place and true in place:
            counts[place[true], place[given]] += 1
    return tuple(tuple(map(int, row)) for row in counts) if counts.any() else ()


def calibration_of(
    space: PredictionSpace, batch: PredictionBatch, predicted: Classes, actual: Classes
) -> tuple[tuple[float, ...], int]:
    """(probability by bin, rows) on the half of the rows that a hash of the id chooses.

    Of a binary model P(positive | score bin), of one with several classes P(right | confidence bin). The other half
    stays unseen, so that a benchmark may judge the estimate on it. Without both outcomes there is nothing to learn:
    empty, 0.
    """
    if space.kind == "binary" and space.score_edges:
        measure, edges = batch.score, space.score_edges
        true = np.array([name == space.positive for name in actual])
    elif space.kind == "multiclass":
        measure, edges = batch.confidence, CONFIDENCE_EDGES
        true = np.array([said == name for said, name in zip(predicted, actual, strict=True)])
    else:
        return (), 0
    known = np.array([name is not None for name in actual]) & np.isfinite(measure)
    half = np.array([_coin(name if name is not None else str(at)) for at, name in enumerate(batch.aliases)], dtype=bool)
    chosen = known & half
    if len(set(true[chosen].tolist())) < 2:
        return (), 0
    bins = np.searchsorted(np.array(edges), measure, side="left")
    rows = np.bincount(bins[chosen], minlength=len(edges) + 1)
    hits = np.bincount(bins[chosen & true], minlength=len(edges) + 1)
    return tuple(float(p) for p in calibrate(hits, rows)), int(chosen.sum())


def _coin(text: str) -> bool:
    return bool(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] & 1)
