"""What the stages hand to each other. Frozen, slotted, no behaviour beyond what a reader expects of a record.

Times: ``*_ns`` is nanoseconds; ``event_ns`` and ``at_ns`` are Unix time, ``started_ns``/``ended_ns`` of an
``Exchange`` are the monotonic clock. A *minute* is Unix time divided by 60 s, an integer.
Importing this module loads neither numpy nor OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntVector = NDArray[np.int64]
    FloatVector = NDArray[np.float64]

MINUTE_NS = 60_000_000_000
WEIGHT_UNIT = 1 << 20
"""Weight of one whole request; a row of a request with r rows weighs ``max(1, rint(WEIGHT_UNIT / r))``."""

LABEL_UNIT = 1 << 20
"""A label of weight w counts ``max(1, rint(w * LABEL_UNIT))`` in weighted figures."""


# ---------------------------------------------------------------- capture


class End(StrEnum):
    """How an exchange ended."""

    COMPLETE = "complete"
    DISCONNECT = "disconnect"  # the client went away before the last body message
    ERROR = "error"  # the application raised


class Exchange(NamedTuple):
    """One request and its answer, as seen on the event loop. A flat tuple: the loop appends it and does no more.

    Bodies are the chunks the server and application passed, referenced and not copied; empty when the direction
    exceeded its byte cap (``request_bytes`` then still counts what went by).
    """

    prediction_id: str  # UUIDv7, text form; the only primary key
    model: str
    method: str
    path: str  # raw; never a metric label
    started_ns: int  # monotonic
    first_byte_ns: int  # monotonic; 0: no body message was sent
    ended_ns: int  # monotonic; the last body message, or the end of the call
    status: int  # 0: no response was started
    end: End
    error_type: str  # class name of the application's exception, else ""
    request_headers: tuple[tuple[bytes, bytes], ...]  # only the names asked for, lower case
    request_body: tuple[bytes, ...]
    request_bytes: int
    response_headers: tuple[tuple[bytes, bytes], ...]
    response_body: tuple[bytes, ...]
    response_bytes: int
    trace_id: int  # 0: no valid span was current
    span_id: int
    trace_sampled: bool
    annotations: tuple[Annotation, ...]
    chunk_ns: tuple[int, ...] = ()  # monotonic; when the first few body messages of the answer went out
    response_chunks: int = 0  # body messages of the answer that were not empty, all of them
    response_tail: tuple[bytes, ...] = ()  # of an event stream longer than its cap: its last chunks, after a gap


class Annotation(NamedTuple):
    """What a handler said about its own prediction through ``annotate``. None: not said."""

    features: Mapping[str, object] | None
    prediction: object
    confidence: float | None
    segment: str | None


# ---------------------------------------------------------------- losses


class DropReason(StrEnum):
    """Why an exchange did not become rows. Bounded: these are metric labels."""

    QUEUE_FULL = "queue_full"
    BODY_TOO_LARGE = "body_too_large"
    BODY_CUT_OFF = "body_cut_off"
    NOT_JSON = "not_json"
    MALFORMED = "malformed"  # text, tables or tensors that break their own format
    WRONG_SHAPE = "wrong_shape"
    ROW_MISMATCH = "row_mismatch"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    NOT_A_PREDICTION = "not_a_prediction"  # the application answered with an error status
    APPLICATION_ERROR = "application_error"
    REDACTION_FAILED = "redaction_failed"
    FLUSH_REFUSED = "flush_refused"
    HUB_UNREACHABLE = "hub_unreachable"
    CLOCK_SKEW = "clock_skew"  # dated further ahead of the hub than clocks may differ
    SHUTDOWN = "shutdown"
    INTERNAL_ERROR = "internal_error"


class WhenFull(StrEnum):
    """What a bounded buffer does with one item too many."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"


# ---------------------------------------------------------------- decode


class GenerationEnd(StrEnum):
    """How a generation ended. Only a done one is a prediction."""

    DONE = "done"
    ERROR = "error"  # an error status, an error event in the stream, or a stream that broke off by itself
    ABORT = "abort"  # the client went away


@dataclass(frozen=True, slots=True)
class Generation:
    """What one request to a language or embedding model took and gave: figures, and content only where asked for."""

    operation: str  # gen_ai.operation.name: "chat", "text_completion" or "embeddings"
    system: str  # gen_ai.system: the dialect, "openai" or "huggingface"
    request_model: str
    response_model: str
    response_id: str
    end: GenerationEnd
    error_type: str  # "" unless ``end`` is ERROR
    streamed: bool
    duration_ns: int
    choices: int  # answers to the one request
    finish_reasons: tuple[str, ...]  # one a choice, by its index; "" where none was given
    input_tokens: int | None  # None: unknown
    output_tokens: int | None  # over all choices
    tokens_estimated: bool  # from the number of bytes, for want of a usage
    time_to_first_token_ns: int | None  # None: not streamed, or the first content came too late to be timed
    time_per_output_token_ns: float | None  # after the first
    output_chars: int  # over all choices, reasoning left out
    tool_calls: int
    refusal: bool
    empty: bool  # neither text nor a tool call nor a refusal
    truncated: bool  # a choice ended at a token limit
    partial: bool  # chunks were not kept: what is told by the text is told by a part of it
    input_text: str = ""  # "" unless content is switched on or a text feature asks for it; never leaves unredacted
    output_text: str = ""


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """Decoded rows of one model and version, column by column. ``rows`` counts them; a request may bring many.

    Every sequence has length ``rows`` unless it says otherwise. Raw values: never leaves the process unredacted.
    """

    model: str
    version: str
    event_ns: IntVector  # (rows,) Unix ns of the request's start
    weight: IntVector  # (rows,) max(1, rint(WEIGHT_UNIT / rows of the request))
    prediction_ids: Sequence[str]  # the minted id, or "id/row" in batches
    aliases: Sequence[str | None]  # the caller's own id
    features: Mapping[str, Sequence[object]]  # JSON scalars, None where absent or null; or float64 (rows,) without null
    score: FloatVector  # (rows,) NaN where absent
    predicted: Sequence[str | None]  # class as text
    confidence: FloatVector  # (rows,) in [0, 1], NaN where absent
    segments: Sequence[str | None]
    traces: Sequence[tuple[int, int]]  # (trace_id, span_id), zeros where none
    exemplar: Sequence[bool]  # keep the row whatever the sampling says (slow, error)

    @property
    def rows(self) -> int:
        return len(self.prediction_ids)


class Generated(NamedTuple):
    """The generation of one exchange, a prediction or not."""

    prediction_id: str
    version: str
    generation: Generation


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one slice of exchanges became. ``sum(requests) + sum(dropped) == exchanges in``."""

    batches: Sequence[PredictionBatch]
    exchanges: int  # decoded exchanges
    dropped: Mapping[DropReason, int]
    skipped: Mapping[str, int] = field(default_factory=dict)  # values left out of decoded rows, by the cap they met
    generations: Sequence[Generated] = ()
    wrong_width: Mapping[str, int] = field(default_factory=dict)  # version -> rows with more or fewer values than names


# ---------------------------------------------------------------- redact


class KeptRow(NamedTuple):
    """One prediction as the store keeps it."""

    prediction_id: str
    model: str
    version: str
    segment: str
    event_ns: int
    score: float | None
    predicted: str | None
    confidence: float | None
    alias: str | None
    trace_id: str  # 32 hex digits or ""
    span_id: str  # 16 hex digits or ""
    features: str  # JSON object of the features named in store_features; "{}" by default


class KeptRows(Sequence[KeptRow]):
    """Kept rows column by column: thousands wait at a time, and what waits as an object for each row is walked over by
    every full garbage collection, with all threads at a stand."""

    __slots__ = ("columns",)
    __hash__ = None  # type: ignore[assignment]  # columns are lists as a rule

    def __init__(self, columns: Iterable[Sequence[Any]] = ((),) * len(KeptRow._fields)) -> None:
        """``columns``: in the order of ``KeptRow``'s fields, each (rows,)."""
        self.columns = tuple(columns)

    @classmethod
    def of(cls, rows: Iterable[KeptRow]) -> KeptRows:
        columns = list(zip(*rows, strict=True))
        return cls(columns) if columns else cls()

    def column(self, name: str) -> Sequence[Any]:
        return self.columns[KeptRow._fields.index(name)]

    def picked(self, at: Sequence[int]) -> KeptRows:
        """The rows at these places, in their order."""
        return KeptRows([column[row] for row in at] for column in self.columns)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[KeptRow]:
        return map(KeptRow._make, zip(*self.columns, strict=True))

    @overload
    def __getitem__(self, at: int) -> KeptRow: ...
    @overload
    def __getitem__(self, at: slice) -> KeptRows: ...
    def __getitem__(self, at: int | slice) -> KeptRow | KeptRows:
        chosen = (column[at] for column in self.columns)
        return KeptRows(chosen) if isinstance(at, slice) else KeptRow._make(chosen)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeptRows) and list(map(list, self.columns)) == list(map(list, other.columns))

    def __repr__(self) -> str:
        return f"KeptRows.of({list(self)!r})"


@dataclass(frozen=True, slots=True)
class RedactedRows:
    """Rows that passed the redactor. Only ``mlmon_sidecar.redact`` makes them: a privacy rule as a type."""

    rows: KeptRows = field(default_factory=KeptRows)
    redactions: Mapping[str, int] = field(default_factory=dict)  # entity -> matches replaced


# ---------------------------------------------------------------- aggregate


class PaneKey(NamedTuple):
    """What a pane counts: one minute of one model version under one layout."""

    model: str
    version: str
    segment: str  # "" for all traffic
    layout: str  # layout hash
    minute: int


class Sample(NamedTuple):
    """One member of a bounded bottom-k-by-hash sample."""

    hash: int
    value: str


@dataclass(frozen=True, slots=True)
class Pane:
    """Counts of one key: a flat integer vector whose meaning the layout defines, and bounded samples."""

    key: PaneKey
    vector: IntVector  # (layout.size,) int64
    samples: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)  # each sorted by hash


@dataclass(frozen=True, slots=True)
class Flush:
    """What a recorder hands to the hub, once, under a number. Frozen when it is made and never changed."""

    recorder_id: str  # UUID, fresh for each process start
    seq: int  # 1, 2, 3 ...; the first is an empty registration
    panes: tuple[Pane, ...]
    rows: RedactedRows
    counters: Mapping[str, int]  # increments since the previous flush
    complete_through: Mapping[str, int]  # model -> every exchange up to and with this minute has been flushed
    sent_ns: int  # the recorder's clock when it froze the flush, Unix ns
    closing: bool = False  # the last one: nobody waits for this recorder any more
    origin: str = ""  # host:pid, for people


class FlushStatus(StrEnum):
    COMMITTED = "committed"
    DUPLICATE = "duplicate"  # was committed before
    UNKNOWN_RECORDER = "unknown_recorder"  # register again under a fresh id; this flush cannot be taken


class FlushReceipt(NamedTuple):
    status: FlushStatus
    lost: int  # flush numbers skipped before this one


# ---------------------------------------------------------------- outcomes


class Label(NamedTuple):
    """What turned out to be true for a prediction."""

    id: str  # a prediction id or the caller's alias
    label: str  # class as text, or a number as text for regression
    observed_ns: int  # Unix ns
    model: str = ""  # "": whichever model the id names
    source: str = ""
    weight: float = 1.0  # > 0


class LabelStatus(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CORRECTED = "corrected"
    PENDING = "pending"  # the prediction is not here yet
    AMBIGUOUS = "ambiguous"  # the id names several predictions that one label cannot be meant for
    EXPIRED = "expired"  # observed later than labels of its model count
    QUARANTINED = "quarantined"  # kept, not counted: its source says this class far more often than is usual
    INVALID = "invalid"


class LabelReceipt(NamedTuple):
    """The answer for one item. Given only after a durable commit."""

    id: str
    status: LabelStatus
    reason: str = ""


class Assumption(NamedTuple):
    """What silence means: a prediction without a label by then counts as one with this label."""

    label: str
    after_ns: int  # > 0, from the prediction
    censored: tuple[str, ...] = ()  # predicted classes whose action prevents a label: their silence means nothing


class Erased(NamedTuple):
    """What an erasure took out of the store."""

    predictions: int
    labels: int


class BaselineState(StrEnum):
    """Where a baseline stands that the hub was given."""

    PROPOSED = "proposed"  # waits for somebody's approval
    ACTIVE = "active"
    REPLACED = "replaced"  # by a later one
    REJECTED = "rejected"


class BaselineOrder(NamedTuple):
    """What the hub is to do with a baseline."""

    action: str  # "offer": take ``document`` in; "approve" or "reject" what was offered
    model: str = ""  # of "approve" and "reject"
    baseline: str = ""  # its id; of "approve" and "reject"
    document: str = ""  # JSON; of "offer"
    origin: str = ""  # "pushed" or "learned"; of "offer"


class HeldBaseline(NamedTuple):
    """A baseline that the store holds.

    An active one stands in the place of the baseline that the configuration named when it was approved (or of none).
    """

    baseline: str  # 16 hex digits over its document
    model: str
    state: BaselineState
    from_minute: int  # compared with from this Unix minute on; 0 where it never was active
    received_ns: int  # Unix ns
    origin: str
    over: str  # id of the configured baseline in whose place it stands; "" for none
    rows: int
    source: str
    created: str  # ISO 8601


class LabelledCompletion(NamedTuple):
    """A label that joined a language model's answer, or a prediction that has a trace."""

    model: str
    version: str
    response_id: str  # "": of another model
    label: str
    source: str
    observed_ns: int
    trace_id: str  # 32 hex digits or "": the prediction's own
    span_id: str
    prediction_id: str = ""
    predicted: str | None = None  # class; None where it is a number


class OutcomeCell(NamedTuple):
    """Signed count of labelled predictions."""

    version: str
    day: int  # Unix day of the prediction
    age: int  # whole days until the label was observed
    predicted: str
    actual: str
    rows: int  # signed


class Losses(NamedTuple):
    """What was lost, and out of how many. Increments of one flush, or sums of them."""

    exchanges: int  # dropped, though they were predictions
    of_exchanges: int
    rows: int  # decoded, but not stored though they should have been
    of_rows: int


class WeightedCell(NamedTuple):
    """As ``OutcomeCell``, with the weights of its labels."""

    version: str
    day: int
    age: int
    predicted: str
    actual: str
    weight: int  # sum, in units of 1 / LABEL_UNIT; signed
    squares: float  # sum of weight**2, for intervals alone


class Part(NamedTuple):
    """A part of a model's predictions: those of one version, or of one segment."""

    kind: str  # "version" or "segment"
    name: str


class SegmentCell(NamedTuple):
    """Signed count of labelled predictions of one segment."""

    segment: str
    predicted: str
    actual: str
    rows: int


class LabelScores(NamedTuple):
    """Labelled predictions by their score, and the sums of their losses in units of 2**-20."""

    cells: tuple[tuple[int, int, int], ...]  # (bin of the score grid, negatives, positives), by bin
    rows: int
    log_loss: int
    squared: int


class LabelErrors(NamedTuple):
    """Sums of a regression model's errors, and how its numbers are counted."""

    center: float
    unit: float
    sums: tuple[int, ...]  # rows, error, absolute, squared, actual, actual squared, relative, rows with a relative one


# ---------------------------------------------------------------- checks and alerts


class Tier(IntEnum):
    """Urgency. A smaller number is more urgent, as people say it."""

    P1 = 1  # page
    P2 = 2  # within hours
    P3 = 3  # daily report


class Layer(StrEnum):
    INFRASTRUCTURE = "infrastructure"
    DATA = "data"
    PREDICTION = "prediction"
    OUTCOME = "outcome"
    SKEW = "skew"


@dataclass(frozen=True, slots=True)
class Window:
    """Summed panes of one model over a span of minutes, with what the samples of those panes say."""

    model: str
    start_minute: int
    end_minute: int  # exclusive
    vector: IntVector  # (layout.size,) int64
    samples: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's statement about one model at one minute: why it would alarm, in words and numbers."""

    rule: str  # e.g. "feature_drift"
    layer: Layer
    tier: Tier
    minute: int
    summary: str  # one plain sentence
    evidence: float  # 1.0 is the alarm line; 0 none
    features: tuple[str, ...] = ()
    value: float | None = None
    threshold: float | None = None
    rows: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON-able


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert as people see it: opened once, raised or widened perhaps, resolved once."""

    key: str  # stable: model, rule and opening minute; the dedup key of every notification
    model: str
    rule: str
    layer: Layer
    tier: Tier
    opened_minute: int
    resolved_minute: int | None
    summary: str
    evidence: float
    features: tuple[str, ...] = ()
    provisional: bool = False  # opened from a pane not yet sealed
    details: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- figures for export


class Measurement(NamedTuple):
    """One current figure under a catalogue name. Counters are cumulative since ``start_ns`` of the process."""

    name: str
    value: int | float
    attributes: tuple[tuple[str, str], ...] = ()


class TraceExemplar(NamedTuple):
    """One observed value and the trace it is from."""

    value: float
    at_ns: int  # Unix ns
    trace_id: int
    span_id: int


class Distribution(NamedTuple):
    """One cumulative histogram under a catalogue name: ``len(counts) == len(bounds) + 1``."""

    name: str
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float  # sum of the observed values
    attributes: tuple[tuple[str, str], ...] = ()
    exemplars: tuple[TraceExemplar, ...] = ()  # at most one a bucket


class Severity(StrEnum):
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Event(NamedTuple):
    """One log record: static name, flat attributes, one plain sentence as body."""

    name: str
    body: str
    at_ns: int
    severity: Severity = Severity.INFO
    attributes: tuple[tuple[str, str | int | float | bool], ...] = ()
    trace_id: int = 0
    span_id: int = 0
