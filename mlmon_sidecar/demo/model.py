"""The demo's model: gradient boosted trees of scikit-learn, small enough to answer one row in about a third of a
millisecond.

Training is deterministic and takes about a second, so every process that needs the model trains it: no model file, no
pickle. On rows it has not seen its accuracy is about 0.94, which is as good as this data allows (the source package's
own model reaches 0.944).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlmon_sidecar.demo.data import DOWNPAYMENTS, FEATURES, SALARY_RANGES, Loans, Row, Value
from mlmon_sidecar.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAINING_ROWS = 8_000  # the earlier half of the reference; the later half is held out for the baseline
THRESHOLD = 0.5  # a loan is approved from this probability of being repaid
POSITIVE = "repaid"
NEGATIVE = "defaulted"
VERSION = "v1"
ORDINALS: Mapping[str, Sequence[Value]] = {
    "salary_range": SALARY_RANGES,
    "repaid_loan_on_prev_car": (False, True),
    "size_of_downpayment": DOWNPAYMENTS,
}
ROUNDED = 6  # decimals of an answered score


class LoanModel:
    """Probability that a loan is repaid."""

    def __init__(self, classifier: Any, typical: NDArray[np.float32]) -> None:
        self._classifier = classifier
        self._typical = typical  # (features,) training medians: what an absent or unknown value is taken for

    @classmethod
    def train(cls, loans: Loans) -> LoanModel:
        """Fit on the training half. Raises ``MissingExtra`` without scikit-learn."""
        try:
            from sklearn.ensemble import GradientBoostingClassifier
        except ImportError as error:
            raise MissingExtra("demo", "training the demo's model") from error
        rows = training(loans)
        inputs = encode(rows)
        classifier = GradientBoostingClassifier(
            n_estimators=60, max_depth=6, learning_rate=0.15, min_samples_leaf=10, subsample=0.5, random_state=1
        )
        classifier.fit(inputs, [loans.labels[row.id] for row in rows])
        return cls(classifier, np.median(inputs, axis=0))

    def score(self, rows: Sequence[Row]) -> list[float]:
        """One probability a row, rounded as the server answers it."""
        from sklearn import config_context

        inputs = encode(rows)
        inputs = np.where(np.isnan(inputs), self._typical, inputs)
        with config_context(assume_finite=True):  # just made so; checking again costs more than 0.1 ms
            probabilities = self._classifier.predict_proba(inputs)[:, 1]
        return [round(float(p), ROUNDED) for p in probabilities]


def outcome(score: float) -> str:
    """The predicted class of a score."""
    return POSITIVE if score >= THRESHOLD else NEGATIVE


def label_text(repaid: int) -> str:
    """A label of the data, 0 or 1, as the class it names."""
    return POSITIVE if repaid else NEGATIVE


def training(loans: Loans) -> tuple[Row, ...]:
    return loans.reference[:TRAINING_ROWS]


def held_out(loans: Loans) -> tuple[Row, ...]:
    """Reference rows the model has not seen: what a baseline may be built from."""
    return loans.reference[TRAINING_ROWS:]


def encode(rows: Sequence[Row]) -> NDArray[np.float32]:
    """(rows, features) numbers: categories by rank, absent or unknown values NaN."""
    table = [[_number(name, row.features.get(name)) for name in FEATURES] for row in rows]
    return np.array(table, dtype=np.float32).reshape(len(rows), len(FEATURES))


def _number(name: str, value: Value) -> float:
    if value is None:
        return math.nan
    levels = ORDINALS.get(name)
    if levels is None:
        return float(value)
    return float(levels.index(value)) if value in levels else math.nan
