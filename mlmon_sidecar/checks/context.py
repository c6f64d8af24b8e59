"""Everything a check may look at. Built by the hub for each sealed minute; checks are functions of it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mlmon_sidecar.checks.wording import percent
from mlmon_sidecar.records import WEIGHT_UNIT

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector, Sample, Window
    from mlmon_sidecar.statistics.edetector import Alarm, Step
    from mlmon_sidecar.statistics.layout import Layout
    from mlmon_sidecar.statistics.onset_shape import Shape
    from mlmon_sidecar.statistics.reference import Reference
    from mlmon_sidecar.statistics.segment_indicators import SegmentUnit
    from mlmon_sidecar.statistics.service import ServiceReference

MAX_DROPPED = 0.01  # of the predictions; with more of them lost a figure of quality may be of what was easy
FIGURE_ROWS = 50  # a window with fewer rows says little about how large a change is
WEEK_HOURS = 7 * 24


@dataclass(frozen=True, slots=True)
class QualityView:
    """One metric of joined labels, and what its detector said about them.

    Attributes:
        metric: e.g. "accuracy".
        step: of the quality detector.
        value: the metric over the trailing labels, in [0, 1].
        rows: labels behind ``value``.
        baseline: the metric on the reference.
        chance: what answering without looking would reach.
        dropped: share of the predictions behind it that was lost before it could be counted, in [0, 1].
        tolerance: how large an error counts as about right, where numbers are predicted; None for classes.
    """

    metric: str
    step: Step
    value: float
    rows: int
    baseline: float
    chance: float = 0.0
    dropped: float = 0.0
    tolerance: float | None = None


class EstimateView(NamedTuple):
    """As ``QualityView``, of what scores promise."""

    metric: str
    step: Step
    value: float
    rows: int  # predictions
    baseline: float  # what the reference's own scores promise
    chance: float
    suppressed: str  # why it is not to be believed; "" where it is
    dropped: float = 0.0  # as of ``QualityView``


class LabelView(NamedTuple):
    """Labels by class, and what their detector said. The last count of each is of all other classes."""

    step: Step
    classes: tuple[str, ...]
    before: tuple[int, ...]  # (classes + 1,) of the reference; their sum is > 0
    after: tuple[int, ...]  # (classes + 1,) of the newest labels

    def shares(self, name: str) -> tuple[float, float]:
        """Before and after; ``name`` of a class that is none of these means all others."""
        at = self.classes.index(name) if name in self.classes else -1
        return self.before[at] / sum(self.before), self.after[at] / max(1, sum(self.after))

    @property
    def distance(self) -> float:
        """Total variation, in [0, 1]."""
        pairs = zip(self.before, self.after, strict=True)
        return sum(abs(b / sum(self.before) - a / max(1, sum(self.after))) for b, a in pairs) / 2


class Silence(NamedTuple):
    """Nothing came since a minute.

    ``nats`` says how improbable that is: the requests expected, over their scatter. ``ordinary_nats`` are those of
    silences that are usual here.
    """

    since_minute: int
    expected: float
    nats: float
    ordinary_nats: float


@dataclass(frozen=True, slots=True)
class ServiceView:
    """How requests were answered, against an ordinary week.

    Attributes:
        alarms: of the streams "service" and "volume" in this minute, and in empty minutes before it.
        closed: (stream, unit) that are ordinary again.
        silence: while nothing comes.
    """

    reference: ServiceReference
    alarms: tuple[Alarm, ...] = ()
    closed: tuple[tuple[str, str], ...] = ()
    silence: Silence | None = None


class HeldSegment(NamedTuple):
    """A unit of the segments that is out of its tolerance."""

    unit: SegmentUnit
    evidence: float
    onset: int  # the last minute without evidence


@dataclass(frozen=True, slots=True)
class SegmentsView:
    """What the detector of the segments said about hours that are over.

    Attributes:
        held: by (stream, unit name).
        closed: names of units back within their tolerance.
        told: names that open incidents have already.
    """

    held: Mapping[tuple[str, str], HeldSegment]
    closed: tuple[str, ...]
    told: frozenset[str]


@dataclass(frozen=True, slots=True)
class VersionDifferences:
    """What an hour said about two versions.

    Attributes:
        shadow: nobody gets the new one's answers.
        together: both answered in that hour; else the old one is known by the days before.
        alarms: the versions differ.
        closed: (stream, unit) in which they are alike again, or no longer compared.
        counts: (layout.size,) of the new and of the old version, behind ``alarms``.
    """

    new: str
    old: str
    shadow: bool = False
    together: bool = True
    alarms: tuple[Alarm, ...] = ()
    closed: tuple[tuple[str, str], ...] = ()
    counts: tuple[IntVector, IntVector] | None = None


class VersionAnswers(NamedTuple):
    """As ``CheckContext.identical`` and ``newest``, of one version. ``shadow``: nobody gets its answers."""

    identical: Window | None
    newest: Window | None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class CheckContext:
    """One model at one minute.

    Attributes:
        reference: None before there is a baseline.
        step: what the detector said about this minute; None without a reference.
        recent: summed panes up to this minute by length, shortest first, e.g. {"1h": ..., "24h": ...}.
        open_features: features with an open drift incident that moved within the last 24 h.
        identical: the longest run of newest panes in which all predictions are the same (``collapse_window``).
        newest: the fewest newest panes with at least 100 predictions (``newest_window``).
        by_version: the same of each version that answered within a day.
        collapsed: names that open incidents of ``collapse`` wait for.
        differs_since: the minute at which the last long run of identical predictions was over; -1: there was none.
        samples: of the newest 24 h, by name (``statistics.samples``).
        service: None before a week of traffic is known.
        quality: None without joined labels.
        segments: at the first pane after an hour, and where an hour gained late; None else and without segments.
        labels: None without a labelled baseline.
        estimate: once a day; None where nothing is estimated.
        confidence_floor: as configured, in [0, 1]; None: told by the reference.
        shapes: of features that alarm at this minute, where a step or a ramp is clear.
        tolerance: (stream, unit) to the largest Cohen's h its shares may move by.
        versions: what hours that are over said about versions; None where no two are compared.
    """

    model: str
    minute: int
    layout: Layout
    reference: Reference | None = None
    step: Step | None = None
    recent: Mapping[str, Window] = field(default_factory=dict)
    open_features: frozenset[str] = frozenset()
    identical: Window | None = None
    newest: Window | None = None
    by_version: Mapping[str, VersionAnswers] = field(default_factory=dict)
    collapsed: frozenset[str] = frozenset()
    differs_since: int = -1
    samples: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    service: ServiceView | None = None
    quality: QualityView | None = None
    segments: SegmentsView | None = None
    labels: LabelView | None = None
    estimate: EstimateView | None = None
    confidence_floor: float | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    tolerance: Mapping[tuple[str, str], float] = field(default_factory=dict)
    versions: tuple[VersionDifferences, ...] | None = None

    def window(self, rows_cell: int) -> Window | None:
        """The shortest recent window with enough rows in a cell to tell the size of a change, else the longest."""
        chosen = None
        for chosen in self.recent.values():
            if chosen.vector[rows_cell] >= FIGURE_ROWS:
                return chosen
        return chosen

    def distributions_unready(self) -> str:
        """Why distributions cannot be judged yet; "" when they can.

        A reference shorter than a week does not know the days of the week. One without timestamps is taken to be
        long enough: the prior wander stands for what it cannot tell.
        """
        if self.reference is None or self.step is None:
            return "no baseline"
        if 0 < self.reference.hours < WEEK_HOURS:
            return f"baseline spans {self.reference.hours} of {WEEK_HOURS} hours"
        return ""


def incomplete(dropped: float) -> str:
    """Why a figure of quality cannot be judged; "" when it can. ``dropped``: share of its predictions that was lost."""
    return f"window incomplete: {percent(dropped)} dropped" if dropped > MAX_DROPPED else ""


def requests_in(window: Window, cell: int) -> float:
    """Requests behind the weight in a cell."""
    return int(window.vector[cell]) / WEIGHT_UNIT


def smallest_seen(context: CheckContext, stream: str, name: str) -> dict[str, float]:
    """The smallest movement of a unit that is ever found, in Cohen's h, as an entry of a finding's details."""
    h = context.tolerance.get((stream, name))
    return {} if h is None else {"min_detectable_h": h}


def closed_names(step: Step | None, stream: str) -> tuple[str, ...]:
    """Units of one stream whose alarm the detector closed in this step."""
    return tuple(name for closed_in, name in step.closed if closed_in == stream) if step else ()


def is_held(step: Step | None, stream: str, name: str) -> bool:
    """Whether a unit alarmed now or earlier and is not yet back within its tolerance."""
    return step is not None and (stream, name) in step.held
