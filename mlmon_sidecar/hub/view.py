"""The JSON that the hub answers to ``status``, ``series`` and ``incidents``: types only.

The hub writes these shapes; the page and the status API hand them on unread. Every ``*_ms`` is Unix milliseconds of
event time unless it says otherwise, every ``*_minute`` Unix minutes, every ratio and share lies in [0, 1]. A figure
that is not there is ``None`` and the ``reason`` beside it says why ("warming up 212/1000"): never NaN, never a silent
zero.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

SERIES = (
    "requests",  # per minute
    "errors",  # per minute
    "p95_ms",
    "drift_evidence",  # label: feature; hourly; 1 is the alarm line
    "drift_score",  # label: feature
    "score_mean",
    "confidence_mean",
    "class_ratio",  # label: class
    "accuracy",  # per day, realised; so are the next three, where the model is judged by them
    "precision",
    "recall",
    "f1",
    "accuracy_estimated",
    "precision_estimated",
    "recall_estimated",
    "f1_estimated",
    "coverage",  # share of predictions with a label
)
"""Names that ``series`` knows. ``label`` is empty where none is named."""


class RecorderView(TypedDict):
    id: str
    pid: int
    host: str
    last_seq: int
    lost: int  # flushes, by gaps in the numbers
    seen_ms_ago: int  # of the machine's clock


class HubView(TypedDict):
    role: Literal["embedded", "separate"]
    pid: int
    store: str  # without credentials
    schema: int
    problem: str  # why its work stands still; "" when all is well
    recorders: list[RecorderView]


class VersionView(TypedDict):
    version: str
    rows: int
    last_minute: int
    compared_with: str  # another version; "" for none
    shadow: bool  # nobody gets its answers, and no row of it is kept


class WindowView(TypedDict):
    hours: float
    requests: int
    rows: int
    errors: int
    error_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None


class BaselineView(TypedDict):
    version: str
    rows: int
    age_days: float


class FeatureView(TypedDict):
    name: str
    kind: str  # "numeric" or "categorical"
    drift: float | None
    method: str  # of ``drift``
    evidence: float | None  # >= 0; 1 alone is the alert
    missing: float | None
    out_of_range: float | None  # numeric only
    unseen: float | None  # categorical only
    rows: int
    held: bool  # drifted: an alarm named it, and it is not yet back within its tolerance
    missing_held: bool  # as ``held``, for its share of missing values
    reason: str  # "" when there is nothing to explain


class EmbeddingView(TypedDict):
    """A text or vector column as a whole; its parts are features besides."""

    name: str
    rows: int
    cluster_tv: float | None  # total variation of the shares of the baseline's clusters
    distance_ks: float | None  # of the distance to the nearest; positive: farther
    centroid_cosine: float | None
    mmd: float | None
    evidence: float | None
    held: bool  # as of a feature
    reason: str


class ClassView(TypedDict):
    name: str
    ratio: float | None
    reference_ratio: float | None


class SegmentView(TypedDict):
    """One part of the traffic, over the window."""

    dimension: str
    value: str  # "_other": of all that have no cells of their own
    rows: int
    share: float | None  # of the requests' weight
    reference_share: float | None
    evidence: float | None  # the largest of its figures; 1 alone is the alert
    held: list[str]  # names of its figures that an alarm named and that are not yet back
    reason: str


class PredictionView(TypedDict):
    kind: str
    mean_score: float | None
    classes: list[ClassView]
    confidence_mean: float | None
    drift: float | None
    evidence: float | None
    reason: str


class MatureView(TypedDict):
    """Of cohorts (the predictions of one day) whose labels are almost all in."""

    value: float
    low: float  # 95 % interval of ``value``
    high: float
    labelled: int
    cohorts: int


class EstimateCheckView(TypedDict):
    """Daily estimates beside what mature labels of those days said."""

    days: int
    gap: float  # estimate minus realised, in [-1, 1]
    broken: bool


class ScoreView(TypedDict):
    """Of labelled predictions with a score in [0, 1]: of a binary model, or (``answers``) of whether the class that a
    model of several classes answered was right."""

    rows: int
    auc: float | None  # None: one class alone
    auc_low: float | None  # 95 %
    auc_high: float | None
    average_precision: float | None
    log_loss: float | None
    brier: float | None
    calibration_error: float | None  # mean over ten bins of |share of positives - mean score|


class ErrorView(TypedDict):
    """Of labelled predictions of a regression model, in its own unit; intervals are 95 %."""

    rows: int
    mae: float
    mae_low: float
    mae_high: float
    rmse: float
    bias: float  # mean of predicted minus actual
    bias_low: float
    bias_high: float
    mape: float | None  # None: every actual value is 0
    r2: float | None  # None: the actual values are all the same


class RatingView(TypedDict):
    """What people said of answers that are neither class nor number; intervals are 95 %."""

    up: int
    down: int
    up_rate: float | None
    up_low: float | None
    up_high: float | None
    scores: int  # labels that are a number
    mean: float | None
    mean_low: float | None
    mean_high: float | None
    other: int


class AveragesView(TypedDict):
    """Precision, recall and F1; scikit-learn's average of that name."""

    precision: float
    recall: float
    f1: float


class SetClassView(TypedDict):
    """One class of the sets, against all else."""

    name: str
    predicted: int  # rows
    actual: int
    precision: float | None  # None: never predicted
    recall: float | None  # None: never actual
    f1: float


class SetView(TypedDict):
    """Of labelled predictions that are sets of classes."""

    rows: int
    exact: float  # share of rows whose set is right as a whole
    micro: AveragesView
    macro: AveragesView
    weighted: AveragesView
    samples: AveragesView
    classes: list[SetClassView]  # the most frequent ones


class IntervalView(TypedDict):
    value: float
    low: float  # 95 %
    high: float


class AverageView(TypedDict):
    """scikit-learn's average of that name."""

    precision: IntervalView | None
    recall: IntervalView | None
    f1: IntervalView | None


class ClassFigureView(TypedDict):
    """One class against all others; None where nothing was predicted, or labelled, to make the figure of."""

    name: str
    predicted: int  # rows
    actual: int
    precision: IntervalView | None
    recall: IntervalView | None
    f1: IntervalView | None


class ClassAveragesView(TypedDict):
    """Of labelled predictions of one class each."""

    rows: int
    accuracy: IntervalView | None
    micro: AverageView
    macro: AverageView
    weighted: AverageView


class ClassesView(ClassAveragesView):
    """The averages, and the classes one by one."""

    classes: list[ClassFigureView]  # the most frequent ones
    matrix: list[list[int]]  # rows by actual, columns by predicted class, in the order of ``classes``


class WeightedView(TypedDict):
    """The week's labels by their weights. None where every label weighs 1: then all figures are those of the counts.

    ``effective`` is how many labels of equal weight say as much (Kish); intervals rest on it.
    """

    realised: float | None
    low: float | None
    high: float | None
    mature: float | None
    effective: float
    scores: ScoreView | None
    errors: ErrorView | None
    up_rate: float | None
    mean: float | None


class PartOutcomeView(TypedDict):
    """Of all labels of the week that are of one part of the predictions. What is None beyond the ten parts with the
    most labels has not been looked up."""

    realised: float | None
    low: float | None
    high: float | None
    labelled: int
    averages: ClassAveragesView | None
    scores: ScoreView | None
    answers: ScoreView | None
    errors: ErrorView | None


class VersionOutcomeView(PartOutcomeView):
    version: str


class SegmentOutcomeView(PartOutcomeView):
    segment: str


class PullView(TypedDict):
    """The newest pull of a model's labels."""

    at_ms: int  # of the machine's clock
    rows: int
    taken: int  # labels that are new, corrected, pending or known already
    refused: int
    problem: str  # why it ended early, with its code; "" where it did not


class OutcomeView(TypedDict):
    """``realised`` is the naive figure: all labels of a week, quick ones before slow ones. Alarms rest on ``mature``.

    ``equal_age`` is what mature cohorts showed at the ages that the newest have, ``bias`` how far that was from their
    final figure: the part of ``realised`` that time will take back.
    """

    metric: str
    tolerance: float | None  # the largest error that is about right, in the label's unit; None for classes
    realised: float | None
    low: float | None  # 95 % interval of ``realised``
    high: float | None
    mature: MatureView | None
    equal_age: float | None
    bias: float | None
    estimated: float | None
    estimated_low: float | None  # 95 %: chance of the outcomes, and of the calibration
    estimated_high: float | None
    estimate_note: str  # what the estimate assumes, or why there is none
    estimate_check: EstimateCheckView | None
    baseline: float | None
    labelled: int
    coverage: float | None
    expected_coverage: float | None  # in the end
    maturity: float | None  # share of the week's labels to come whose ages are complete
    mature_age_days: int | None  # None: not known yet
    delay_moved: bool  # labels now come at other ages than before
    versions: list[VersionOutcomeView]
    segments: list[SegmentOutcomeView]  # those with the most labels; of predictions that have one
    baseline_averages: ClassAveragesView | None  # on the labelled rows of the baseline
    classes: ClassesView | None  # like the next five: of the week's labels, whatever their age
    scores: ScoreView | None
    answers: ScoreView | None
    errors: ErrorView | None
    ratings: RatingView | None
    sets: SetView | None
    weighted: WeightedView | None
    reason: str


class TextbookView(TypedDict):
    """One rule that knows no budget, about one feature or figure."""

    rule: str
    name: str
    value: float
    threshold: float
    fires: bool


class ModelView(TypedDict):
    name: str
    versions: list[VersionView]
    layout: str
    state: Literal[0, 1, 2, 3]  # the most urgent open tier; 0: none
    sentence: str
    watermark_minute: int | None  # sealed through
    window: WindowView
    baseline: BaselineView | None
    reason: str
    features: list[FeatureView]
    segments: list[SegmentView]  # empty where the baseline knows none
    embeddings: list[EmbeddingView]
    prediction: PredictionView
    outcome: OutcomeView
    pull: PullView | None  # None: no labels are pulled, or not yet
    textbook: list[TextbookView]


class IncidentView(TypedDict):
    key: str
    model: str
    rule: str
    layer: str  # a ``records.Layer``
    tier: Literal[1, 2, 3]
    opened_ms: int
    resolved_ms: int | None
    summary: str
    evidence: float
    features: list[str]
    details: dict[str, Any]
    provisional: NotRequired[bool]


class CountersView(TypedDict):
    """``captured + sum(dropped.values()) == requests``, but for what is in flight."""

    requests: int
    captured: int
    dropped: dict[str, int]  # by ``records.DropReason``
    rows: int
    stored: int


class LastExportView(TypedDict):
    outcome: str
    at_ms: int


class ExportView(TypedDict):
    target: str | None
    last: dict[str, LastExportView]  # by signal: metrics, traces, logs


class StatusView(TypedDict):
    """``query("status", {})``. ``query("incidents", {})`` is the ``incidents`` list alone, in an object of one key."""

    generated_at_ms: int
    clock_scale: float
    hub: HubView
    models: list[ModelView]
    incidents: list[IncidentView]  # newest first
    counters: CountersView
    export: ExportView
    privacy: str


class IncidentsView(TypedDict):
    incidents: list[IncidentView]  # newest first


class SeriesView(TypedDict):
    """``query("series", {"model", "name", "label", "since"})``; ``since`` is Unix milliseconds as digits."""

    name: str
    label: str
    t: list[int]  # Unix ms, ascending
    v: list[float | None]  # of the same length
