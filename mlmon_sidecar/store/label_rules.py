"""Which labels of a known prediction are taken, and which source says something strange. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from mlmon_sidecar.records import MINUTE_NS, Label, LabelStatus

MAX_AHEAD_NS = 300_000_000_000  # 5 min: clocks differ
MAX_BEFORE_NS = 300_000_000_000  # 5 min before its prediction counts as at the same time
MIN_RECENT = 200  # labels of one source and day before it can be strange
MIN_USUAL = 500  # labels before anything counts as usual
USUAL_DAYS = 30  # what is usual is what was said on so many days before
STRANGE_SHARE = 0.4  # by how much the share of one class exceeds the usual one: more than 11 standard errors of 200
SOURCES_WATCHED = 100  # of one model and day; further ones go by the name of all that are not watched
OTHER_SOURCES = "*"
DAY_NS = 1440 * MINUTE_NS
CLASSES_TOLD = 10  # in a reason
CHARACTERS_TOLD = 40  # of each

AHEAD = "observed_at lies more than 5 minutes ahead of the hub's clock"
BEFORE = "observed_at lies more than 5 minutes before the prediction"
SEVERAL_MODELS = "the id names predictions of several models: give model"
BATCH = "the id names a request of several rows: add the row, as in id/0"
NOT_A_NUMBER = "the model predicts a number: the label is none"
NOT_HERE = "no prediction with this id yet"
STRANGE = "this source says this class far more often than is usual: kept, not counted (outcomes.trusted_sources)"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What one model's labels must be like.

    Attributes:
        kind: "binary", "multiclass", "regression", or another word where any label will do.
        classes: empty where they are not known.
        horizon_ns: > 0.
        trusted: sources that are never quarantined.
        shares: of each class among the baseline's labels; empty where it has too few.
    """

    horizon_ns: int
    kind: str = ""
    classes: frozenset[str] = frozenset()
    trusted: frozenset[str] = frozenset()
    shares: Mapping[str, float] = field(default_factory=dict)

    def problem(self, text: str) -> str:
        """Why a label cannot be this model's; "" when it can."""
        if self.kind == "regression":
            return "" if _is_number(text) else NOT_A_NUMBER
        return self.not_a_class if self.classes and text not in self.classes else ""

    @property
    def not_a_class(self) -> str:
        """
        >>> LabelRule(1, "binary", frozenset({"yes", "no"})).not_a_class
        "the label is none of the model's classes: its baseline has no, yes"
        """
        names = [name if len(name) <= CHARACTERS_TOLD else f"{name[:CHARACTERS_TOLD]}..." for name in self.classes]
        told = ", ".join(sorted(names)[:CLASSES_TOLD])
        more = f" and {len(names) - CLASSES_TOLD} more" if len(names) > CLASSES_TOLD else ""
        return f"the label is none of the model's classes: its baseline has {told}{more}"

    @property
    def late(self) -> str:
        """
        >>> LabelRule(60 * DAY_NS).late
        'observed_at lies more than 60 days after the prediction (outcomes.horizon)'
        """
        return f"observed_at lies more than {self.horizon_ns / DAY_NS:g} days after the prediction (outcomes.horizon)"


Rules = Mapping[str, LabelRule]
"""By model. A model without a rule takes any label."""


def refused(
    label: Label, rule: LabelRule | None, event_ns: int | None, received_ns: int
) -> tuple[LabelStatus, str] | None:
    """Why a label is not taken; None: it is. ``event_ns``: of its prediction, None while that is not known."""
    if label.observed_ns > received_ns + MAX_AHEAD_NS:
        return LabelStatus.INVALID, AHEAD
    if event_ns is not None and label.observed_ns < event_ns - MAX_BEFORE_NS:
        return LabelStatus.INVALID, BEFORE
    problem = rule.problem(label.label) if rule is not None else ""
    if problem:
        return LabelStatus.INVALID, problem
    if rule is not None and event_ns is not None and label.observed_ns - event_ns > rule.horizon_ns:
        return LabelStatus.EXPIRED, rule.late
    return None


@dataclass(frozen=True, slots=True)
class Said:
    """What one source said of one model, by class."""

    recent: Counter[str] = field(default_factory=Counter)  # on the day in question, in quarantine or not
    usual: Counter[str] = field(default_factory=Counter)  # on days before, counted ones only


def strange_classes(source: str, said: Mapping[str, Said], shares: Mapping[str, float]) -> frozenset[str]:
    """Classes that ``source`` says far more often than before; a source without a past is compared with the others.

    What others say on the same day does not tell which of them is wrong: a flood that comes first would have the honest
    held. There a class is strange only if it also exceeds its share of the baseline (``shares``, where known).

    >>> said = {"bank": Said(Counter(no=100, yes=200), Counter(no=900, yes=100))}
    >>> strange_classes("bank", said, {})
    frozenset({'yes'})
    >>> said = {"flood": Said(Counter(no=6000)), "bank": Said(Counter(no=100, yes=200))}
    >>> strange_classes("bank", said, {"no": 0.5, "yes": 0.5}), strange_classes("flood", said, {"no": 0.5, "yes": 0.5})
    (frozenset(), frozenset())
    """
    recent, others = said[source].recent, [words for name, words in said.items() if name != source]
    if recent.total() < MIN_RECENT:
        return frozenset()
    before = _sum(words.usual for words in others)
    for usual in (said[source].usual, before):
        if usual.total() >= MIN_USUAL:
            return _exceeding(recent, usual)
    now = before + _sum(words.recent for words in others)
    if now.total() < MIN_USUAL:
        return frozenset()
    found = _exceeding(recent, now)
    return frozenset(n for n in found if recent[n] / recent.total() - shares.get(n, 0.0) > STRANGE_SHARE)


def _exceeding(recent: Counter[str], usual: Counter[str]) -> frozenset[str]:
    rows, known = recent.total(), usual.total()
    return frozenset(name for name, count in recent.items() if count / rows - usual[name] / known > STRANGE_SHARE)


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def watched_name(source: str, known: Collection[str]) -> str:
    """The name a source is watched by: there is a bound, so that inventing sources costs no memory."""
    return source if source in known or len(known) < SOURCES_WATCHED else OTHER_SOURCES


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
