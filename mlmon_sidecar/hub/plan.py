"""What the hub needs to know to watch one model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlmon_sidecar.aggregate.generations import FINISH_REASONS
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.interfaces import TextbookRule
from mlmon_sidecar.outcomes.metric import Averaged, Metric, Watched
from mlmon_sidecar.outcomes.tolerance import Within
from mlmon_sidecar.records import Assumption
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.store.label_rules import MIN_RECENT, LabelRule

DEFAULT_FALSE_ALARM_DAYS = 90.0
DEFAULT_HORIZON_DAYS = 60
DAY_NS = 86_400 * 1_000_000_000
GENERATION_FIGURES = frozenset({"finish_reason", "output.tokens", "input.tokens", "time_to_first_token_ms"})
"""Columns that tell a language model's answers where its classes are finish reasons."""


@dataclass(frozen=True, slots=True)
class LearningRule:
    """When a model without a baseline learns one by itself.

    Attributes:
        min_rows, min_hours: of healthy traffic; fewer are not taken for normal.
        activate_after_hours: of healthy traffic, until it counts without anybody's approval; None: never.
    """

    min_rows: int = 1_000
    min_hours: int = 24
    activate_after_hours: int | None = None


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model's layout, what its counts are compared with, and how often a false alarm is allowed.

    Attributes:
        baseline: None: nothing is compared; traffic and identical predictions are still watched.
        problem: why the baseline is not there, one sentence; "" where none was asked for.
        false_alarm_days: > 0; one false alarm is expected in this many days, over all that may alert.
        metric: the realised figure that is watched: accuracy, precision, recall or f1.
        positive: the class that all but accuracy speak of; "" where the layout says it, or all classes count.
        kind: what is predicted, where the layout does not know it.
        horizon_days: labels older than this no longer count; 1 or more.
        service: whether latency, errors and volume are watched; not where the clock is compressed.
        textbook: rules of ``checks.textbook`` that alarm; the others are figures.
        confidence_floor: of the rule of that name, in [0, 1]; None: told by the reference.
        stable: the version that others are compared with; "": the one with more rows.
        shadow: versions whose answers nobody gets: compared, and no part of the model's own figures.
        learning: of a baseline, where there is none; None: only on command.
    """

    name: str
    layout: Layout
    baseline: Baseline | None = None
    problem: str = ""
    false_alarm_days: float = DEFAULT_FALSE_ALARM_DAYS
    metric: str = "accuracy"
    positive: str = ""
    kind: str = ""
    horizon_days: int = DEFAULT_HORIZON_DAYS
    service: bool = True
    textbook: tuple[TextbookRule, ...] = ()
    confidence_floor: float | None = None
    assumption: Assumption | None = None  # what silence means
    trusted_sources: tuple[str, ...] = ()  # of labels; never quarantined
    stable: str = ""
    shadow: tuple[str, ...] = ()
    learning: LearningRule | None = None

    @property
    def predicts(self) -> str:
        """What is predicted, as the layout knows it, else as it is said."""
        kind = self.layout.prediction.kind
        return self.kind if kind == "none" or self.kind == "multilabel" else kind

    @property
    def generates(self) -> bool:
        """Whether the baseline is of a language model's answers: their class is the finish reason, labels rate them."""
        classes = self.layout.prediction.classes
        if not classes or not FINISH_REASONS.issuperset(classes):
            return False
        return any(feature.name in GENERATION_FIGURES for feature in self.layout.features)

    @property
    def label_rule(self) -> LabelRule:
        """What this model's labels must be like."""
        space = self.layout.prediction
        if self.generates:
            return LabelRule(horizon_ns=self.horizon_days * DAY_NS, trusted=frozenset(self.trusted_sources))
        return LabelRule(
            horizon_ns=self.horizon_days * DAY_NS,
            kind=self.predicts,
            classes=frozenset(space.classes),
            trusted=frozenset(self.trusted_sources),
            shares=self._label_shares(),
        )

    def _label_shares(self) -> dict[str, float]:
        """Of each class among the baseline's labels; empty where there are too few to say."""
        confusion = () if self.reference is None else self.reference.confusion
        labels = tuple(map(sum, confusion))
        if sum(labels) < MIN_RECENT:
            return {}
        return {name: count / sum(labels) for name, count in zip(self.layout.prediction.classes, labels, strict=True)}

    @classmethod
    def unconfigured(cls, name: str) -> ModelPlan:
        """A model that recorders feed and this hub's configuration does not name."""
        return cls(name=name, layout=Layout.bare(name))

    def baseline_age_seconds(self, now_ns: int) -> float | None:
        """Since it was built, in this clock; None without a baseline or where it does not say."""
        if self.baseline is None or not self.baseline.created:
            return None
        created = datetime.fromisoformat(self.baseline.created).timestamp()
        return max(0.0, now_ns / 1e9 - created)

    @property
    def outcome_metric(self) -> Watched | None:
        """How labels are judged; None: they are counted alone. Precision, recall and F1 speak of one class, or of a
        model with several of their mean (macro); a binary model without a positive class is judged by its accuracy, one
        that predicts numbers by how often it is about right."""
        space = self.layout.prediction
        kind, positive = self.predicts, self.positive or space.positive
        if kind == "regression":
            return Within.usual(self.reference.errors) if self.reference is not None else None
        if self.generates:
            return None
        if self.metric == "accuracy" or kind == "multilabel":  # of sets: the share that is right as a whole
            return Metric("accuracy")
        if positive and (not space.classes or positive in space.classes):
            return Metric(self.metric, positive)
        several = kind == "multiclass" and len(space.classes) > 1
        return Averaged(self.metric, space.classes) if several else Metric("accuracy")

    @property
    def reference(self) -> Reference | None:
        return None if self.baseline is None else self.baseline.reference
