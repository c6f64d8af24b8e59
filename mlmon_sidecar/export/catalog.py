"""Every figure and event that leaves the process: one table of each. What is not here is never sent.

Names, units and kinds follow the OpenTelemetry naming rules: unit ``1`` only for true fractions in [0, 1], scores in
``{score}``, no ``total`` in names, at most ``MAX_ATTRIBUTES`` attributes a point. ``process.*`` names are those of the
semantic conventions. Imports no OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from mlmon_sidecar.records import Severity

MAX_ATTRIBUTES = 6

MODEL_NAME = "mlmon.model.name"
MODEL_VERSION = "mlmon.model.version"
FEATURE = "mlmon.feature.name"
METHOD = "mlmon.drift.method"
WINDOW = "mlmon.window"
VIOLATION = "mlmon.schema.violation"
BIN = "mlmon.bin"
CLASS = "mlmon.class"
LABEL_STATUS = "mlmon.label.status"
SCORE_NAME = "mlmon.metric.name"
ESTIMATED = "mlmon.estimated"
ALERT_RULE = "mlmon.alert.rule"
ALERT_LAYER = "mlmon.alert.layer"
ALERT_TRANSITION = "mlmon.alert.transition"
ERROR_TYPE = "error.type"
DROP_REASON = "mlmon.drop.reason"
DROP_KIND = "mlmon.drop.kind"
PII_TYPE = "mlmon.pii.type"
COMPONENT = "mlmon.component"
SIGNAL = "mlmon.signal"
CPU_MODE = "cpu.mode"
REQUEST_OUTCOME = "mlmon.request.outcome"
QUEUE = "mlmon.queue.name"
MEMORY_STATE = "system.memory.state"
HARDWARE = ("hw.id", "hw.name")
HARDWARE_TYPE = "hw.type"
RECORDER = "mlmon.recorder"  # on every point that goes through the host application's own MeterProvider


FINISH_REASON = "mlmon.finish.reason"
GEN_AI_SYSTEM = "gen_ai.system"
NEWER_NAMES = {"gen_ai.provider.name": GEN_AI_SYSTEM}
"""Attributes under the names of newer conventions, and what the tables call them."""


class Kind(StrEnum):
    COUNTER = "counter"  # cumulative, never falls
    UPDOWN = "updown"  # additive over processes, may fall
    GAUGE = "gauge"  # current value, not additive
    HISTOGRAM = "histogram"


class Emitter(StrEnum):
    """Who has the figure. Model-level figures come from one hub, or they would be counted once a process."""

    PROCESS = "process"
    HUB = "hub"


class Metric(NamedTuple):
    """One figure. ``attributes`` are the keys a point may carry; not every point carries all."""

    name: str
    unit: str
    kind: Kind
    description: str
    attributes: tuple[str, ...]
    source: Emitter


class EventType(NamedTuple):
    """One kind of log record. ``attributes`` are the keys it may carry."""

    name: str
    severities: tuple[Severity, ...]
    description: str
    attributes: tuple[str, ...]


_M = (MODEL_NAME, MODEL_VERSION)
_WINDOWED = (*_M, WINDOW)
_FEATURE = (*_M, FEATURE, WINDOW)
_ALERT = (MODEL_NAME, ALERT_RULE, ALERT_LAYER)


def _process(name: str, unit: str, kind: Kind, description: str, attributes: tuple[str, ...] = ()) -> Metric:
    return Metric(name, unit, kind, description, attributes, Emitter.PROCESS)


def _hub(name: str, unit: str, kind: Kind, description: str, attributes: tuple[str, ...] = _WINDOWED) -> Metric:
    return Metric(name, unit, kind, description, attributes, Emitter.HUB)


_INFRASTRUCTURE = (
    _process("mlmon.predictions", "{prediction}", Kind.COUNTER, "Predicted rows.", _M),
    _process(
        "mlmon.requests",
        "{request}",
        Kind.COUNTER,
        "Requests for predictions by how they ended: `ok`, `client_error`, `server_error` or `aborted` by the caller.",
        (*_M, REQUEST_OUTCOME),
    ),
    _process("mlmon.request.active", "{request}", Kind.UPDOWN, "Requests that are being worked on.", (MODEL_NAME,)),
    _process("mlmon.batch.size", "{row}", Kind.HISTOGRAM, "Predicted rows of a request.", _M),
    _process(
        "mlmon.model.load.duration",
        "s",
        Kind.GAUGE,
        "Time a model took to load, as `model_loading` measured it; else that of the application's start-up.",
        (MODEL_NAME,),
    ),
    _process("mlmon.queue.depth", "{request}", Kind.GAUGE, "Length of a queue given to `watch_queue`.", (QUEUE,)),
    _process(
        "mlmon.prediction.duration",
        "s",
        Kind.HISTOGRAM,
        "Time from a request's start to the last message of its answer; `error.type` of those that failed: a status of "
        "500 and above, an exception, `abort` by the caller.",
        (*_M, ERROR_TYPE),
    ),
    _process(
        "mlmon.prediction.time_to_first_byte",
        "s",
        Kind.HISTOGRAM,
        "Time from a request's start to the first message of its answer's body.",
        _M,
    ),
    _process(
        "mlmon.schema.violations",
        "{violation}",
        Kind.COUNTER,
        "Rows whose columns are missing, additional, of another type, rescaled, in each other's places, or, without "
        "names, too many or few.",
        (*_M, VIOLATION),
    ),
    _process("process.cpu.time", "s", Kind.COUNTER, "CPU time used by the process.", (CPU_MODE,)),
    _process("process.memory.usage", "By", Kind.UPDOWN, "Physical memory in use by the process."),
    _process("process.thread.count", "{thread}", Kind.UPDOWN, "Threads of the process."),
    _process(
        "process.unix.file_descriptor.count",
        "{file_descriptor}",
        Kind.UPDOWN,
        "File descriptors held open by the process.",
    ),
    _process("process.uptime", "s", Kind.GAUGE, "Time since the process started."),
    _process(
        "system.memory.usage",
        "By",
        Kind.UPDOWN,
        "Memory of the host by its state; from `mlmon hub` alone.",
        (MEMORY_STATE,),
    ),
    _process("system.memory.limit", "By", Kind.UPDOWN, "Memory of the host; from `mlmon hub` alone."),
    _process(
        "system.memory.utilization",
        "1",
        Kind.GAUGE,
        "Share of the host's memory in a state; from `mlmon hub` alone.",
        (MEMORY_STATE,),
    ),
    _process("mlmon.event_loop.lag", "s", Kind.HISTOGRAM, "How late the server's event loop runs a timer."),
    _process("mlmon.gc.pause", "s", Kind.HISTOGRAM, "Duration of a garbage collection."),
    _process("hw.gpu.utilization", "1", Kind.GAUGE, "Share of time in which the GPU worked.", HARDWARE),
    _process("hw.gpu.memory.usage", "By", Kind.UPDOWN, "Memory of a GPU, or of a part of it, in use.", HARDWARE),
    _process("hw.gpu.memory.limit", "By", Kind.UPDOWN, "Memory of a GPU, or of a part of it.", HARDWARE),
    _process("hw.temperature", "Cel", Kind.GAUGE, "Temperature of a GPU.", (*HARDWARE, HARDWARE_TYPE)),
    _process("hw.power", "W", Kind.GAUGE, "Power a GPU draws.", (*HARDWARE, HARDWARE_TYPE)),
)

_GEN_AI = (
    "gen_ai.operation.name",
    GEN_AI_SYSTEM,
    "gen_ai.request.model",
    "gen_ai.response.model",
    MODEL_NAME,
)

_GENERATION = (
    _process(
        "gen_ai.server.request.duration",
        "s",
        Kind.HISTOGRAM,
        "Time from a request to a language model to the last message of its answer.",
        (*_GEN_AI, ERROR_TYPE),
    ),
    _process(
        "gen_ai.server.time_to_first_token",
        "s",
        Kind.HISTOGRAM,
        "Time from a request's start to the first message of a stream that carries content.",
        _GEN_AI,
    ),
    _process(
        "gen_ai.server.time_per_output_token",
        "s",
        Kind.HISTOGRAM,
        "Time for each token of a stream after the first.",
        _GEN_AI,
    ),
    _process(
        "gen_ai.client.token.usage",
        "{token}",
        Kind.HISTOGRAM,
        "Tokens of a request and of its answer, as the server counted them; estimates are left out.",
        (*_GEN_AI, "gen_ai.token.type"),
    ),
    _process(
        "mlmon.llm.finish",
        "{completion}",
        Kind.COUNTER,
        "Completions by the reason they ended for; `error` and `abort` were not finished.",
        (*_M, FINISH_REASON),
    ),
)

_DATA = (
    _hub(
        "mlmon.feature.drift.score",
        "{score}",
        Kind.GAUGE,
        "Distance of a feature's window from its baseline, by the named method.",
        (*_FEATURE, METHOD),
    ),
    _hub(
        "mlmon.feature.drift.evidence",
        "{score}",
        Kind.GAUGE,
        "Evidence that a feature drifted, on a log scale; 1 is the alarm line.",
        (*_M, FEATURE),
    ),
    _hub("mlmon.feature.missing.ratio", "1", Kind.GAUGE, "Share of rows without a value for the feature.", _FEATURE),
    _hub(
        "mlmon.feature.out_of_range.ratio",
        "1",
        Kind.GAUGE,
        "Share of values outside the range the baseline knows.",
        _FEATURE,
    ),
    _hub(
        "mlmon.feature.unseen_category.ratio",
        "1",
        Kind.GAUGE,
        "Share of values in categories the baseline does not know.",
        _FEATURE,
    ),
    _hub("mlmon.feature.mean", "{value}", Kind.GAUGE, "Mean of a numeric feature in the window.", _FEATURE),
    _hub(
        "mlmon.feature.stddev",
        "{value}",
        Kind.GAUGE,
        "Standard deviation of a numeric feature in the window.",
        _FEATURE,
    ),
    _hub(
        "mlmon.feature.bin",
        "{observation}",
        Kind.UPDOWN,
        "Values of the window in a bin of the baseline; bins are numbered. Only with `export.bins`.",
        (*_FEATURE, BIN),
    ),
    _hub(
        "mlmon.baseline.bin.ratio",
        "1",
        Kind.GAUGE,
        "Share of the baseline's values in the bin. Only with `export.bins`.",
        (*_M, FEATURE, BIN),
    ),
    _hub("mlmon.drift.features.drifted.ratio", "1", Kind.GAUGE, "Share of watched features that an alarm has named."),
    _hub("mlmon.window.samples", "{sample}", Kind.GAUGE, "Rows in the window."),
)

_PREDICTION = (
    _hub(
        "mlmon.prediction.drift.score",
        "{score}",
        Kind.GAUGE,
        "Distance of the predictions' window from the baseline, by the named method.",
        (*_WINDOWED, METHOD),
    ),
    _hub("mlmon.prediction.class", "{prediction}", Kind.COUNTER, "Predictions of a class.", (*_M, CLASS)),
    _hub("mlmon.prediction.confidence.mean", "1", Kind.GAUGE, "Mean confidence of the predictions in the window."),
    _hub("mlmon.prediction.dominant.ratio", "1", Kind.GAUGE, "Share of the most frequent prediction in the window."),
)

_OUTCOME = (
    _hub(
        "mlmon.outcome.labels",
        "{label}",
        Kind.COUNTER,
        "Labels by what became of them: matched, corrected, quarantined, or unmatched and given up.",
        (MODEL_NAME, LABEL_STATUS),
    ),
    _hub(
        "mlmon.outcome.score",
        "{score}",
        Kind.GAUGE,
        "Quality by the named metric; estimated before labels arrive, realised after.",
        (*_WINDOWED, SCORE_NAME, ESTIMATED),
    ),
    _hub("mlmon.outcome.coverage.ratio", "1", Kind.GAUGE, "Share of the window's predictions that have a label."),
)

_ALERTS = (
    _hub("mlmon.alert.state", "{state}", Kind.GAUGE, "0 well, 1 an open P3, 2 a P2, 3 a P1.", _ALERT),
    _hub(
        "mlmon.alert.transitions",
        "{transition}",
        Kind.COUNTER,
        "Incidents opened, raised and resolved.",
        (*_ALERT, ALERT_TRANSITION),
    ),
)

_SELF = (
    _process("mlmon.self.queue.size", "By", Kind.GAUGE, "Bytes waiting between the event loop and the recorder."),
    _process("mlmon.self.queue.limit", "By", Kind.GAUGE, "Bytes that may wait there before exchanges are dropped."),
    _process(
        "mlmon.self.dropped",
        "{record}",
        Kind.COUNTER,
        "Records lost, by kind (exchange, row, event, span) and reason.",
        (DROP_KIND, DROP_REASON),
    ),
    _process("mlmon.self.redactions", "{match}", Kind.COUNTER, "Matches of personal data replaced.", (PII_TYPE,)),
    _process(
        "mlmon.self.errors",
        "{error}",
        Kind.COUNTER,
        "Failures inside the monitor; the application is not affected.",
        (COMPONENT, ERROR_TYPE),
    ),
    _process(
        "mlmon.self.export.failures",
        "{failure}",
        Kind.COUNTER,
        "Exports that the collector did not take.",
        (SIGNAL, ERROR_TYPE),
    ),
    _process("mlmon.self.flush.lag", "s", Kind.GAUGE, "Age of the oldest flush the hub has not acknowledged."),
    _process("mlmon.self.hub.leader", "{hub}", Kind.GAUGE, "1 in the process that is the hub, else 0."),
    _hub("mlmon.self.aggregate.age", "s", Kind.GAUGE, "Time since the last sealed minute.", (MODEL_NAME,)),
    _hub(
        "mlmon.self.baseline.age",
        "s",
        Kind.GAUGE,
        "Time since the baseline in use was built.",
        (MODEL_NAME, MODEL_VERSION),
    ),
)


def _table(rows: Iterable[Metric]) -> dict[str, Metric]:
    return {row.name: row for row in rows}


CATALOG = _table((*_INFRASTRUCTURE, *_GENERATION, *_DATA, *_PREDICTION, *_OUTCOME, *_ALERTS, *_SELF))

PREDICTION_EVENT = "mlmon.prediction"
OUTCOME_EVENT = "mlmon.outcome"
SAMPLED_EVENTS = frozenset({PREDICTION_EVENT, OUTCOME_EVENT})
"""Sent for the sampled share of predictions alone, the same ones of each kind."""
PREDICTION_ID = "mlmon.prediction.id"
CONTENT = ("gen_ai.input.messages", "gen_ai.output.messages")
"""Redacted, and only where content is switched on."""

EVENTS = {
    event.name: event
    for event in (
        EventType(
            PREDICTION_EVENT,
            (Severity.INFO,),
            "One prediction, sampled and redacted.",
            (
                *_M,
                PREDICTION_ID,
                CLASS,
                "mlmon.prediction.score",
                "mlmon.prediction.confidence",
                "gen_ai.operation.name",  # these of a language model's answer alone
                GEN_AI_SYSTEM,
                "gen_ai.request.model",
                "gen_ai.response.model",
                "gen_ai.response.id",
                "gen_ai.response.finish_reasons",
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.output_tokens",
                "mlmon.tokens.estimated",
                "mlmon.time_to_first_token",
                *CONTENT,
            ),
        ),
        EventType(
            OUTCOME_EVENT,
            (Severity.INFO,),
            "A label joined its prediction. It carries the prediction's trace.",
            (*_M, PREDICTION_ID, CLASS, "mlmon.outcome.label", "mlmon.outcome.source"),
        ),
        EventType(
            "gen_ai.evaluation.result",
            (Severity.INFO,),
            "A label joined a language model's answer. It carries the answer's trace.",
            (
                "gen_ai.evaluation.name",  # the label's source, else "feedback"
                "gen_ai.evaluation.score.value",  # a label that is a number
                "gen_ai.evaluation.score.label",  # any other
                "gen_ai.response.id",
                *_M,
            ),
        ),
        EventType(
            "mlmon.schema.violation",
            (Severity.WARN,),
            "Rows that do not have the form they are expected to have; at most one a minute for each column and kind.",
            (*_M, FEATURE, VIOLATION, "mlmon.schema.rows"),
        ),
        EventType(
            "mlmon.baseline",
            (Severity.INFO,),
            "A baseline was proposed, approved or rejected.",
            (
                MODEL_NAME,
                "mlmon.baseline.id",
                "mlmon.baseline.state",
                "mlmon.baseline.origin",
                "mlmon.baseline.rows",
            ),
        ),
        EventType(
            "mlmon.alert",
            (Severity.INFO, Severity.WARN, Severity.ERROR),
            "An incident opened, was raised or was resolved. The body says it in one plain sentence.",
            (
                MODEL_NAME,
                ALERT_RULE,
                ALERT_LAYER,
                ALERT_TRANSITION,
                "mlmon.alert.key",  # the dedup key of every notification
                "mlmon.alert.tier",
                "mlmon.alert.onset",
                "mlmon.alert.evidence",
                "mlmon.alert.features",
            ),
        ),
    )
}
