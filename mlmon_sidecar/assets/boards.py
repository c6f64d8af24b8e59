"""What the dashboards show. Grafana's and Datadog's are made from the same table."""

from __future__ import annotations

from dataclasses import dataclass

from mlmon_sidecar.assets.query import How, Query
from mlmon_sidecar.export.catalog import (
    ALERT_LAYER,
    ALERT_RULE,
    ALERT_TRANSITION,
    BIN,
    CLASS,
    COMPONENT,
    CPU_MODE,
    DROP_KIND,
    DROP_REASON,
    ERROR_TYPE,
    ESTIMATED,
    FEATURE,
    FINISH_REASON,
    HARDWARE,
    LABEL_STATUS,
    MEMORY_STATE,
    METHOD,
    MODEL_NAME,
    MODEL_VERSION,
    PII_TYPE,
    QUEUE,
    REQUEST_OUTCOME,
    SCORE_NAME,
    SIGNAL,
    VIOLATION,
    WINDOW,
)  # fmt: skip

GPU = HARDWARE[0]
REQUEST_MODEL = "gen_ai.request.model"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  # an attribute's name
LIMIT = 1.0  # of evidence: the alarm line


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over time. ``stat``: the newest values as figures, with what the numbers mean where they are states."""

    title: str
    description: str
    queries: tuple[Query, ...]
    stat: bool = False
    states: tuple[str, ...] = ()  # what 0, 1, 2 ... are called
    limit: float | None = None  # a line to stay below

    @property
    def unit(self) -> str:
        """UCUM, as the catalogue has it; ``/s`` for what is counted per second."""
        first = self.queries[0]
        if first.how is How.SHARE:
            return "1"
        return f"{first.known.unit}/s" if first.how is How.RATE else first.known.unit


@dataclass(frozen=True, slots=True)
class LogPanel:
    """Log records that carry an attribute."""

    title: str
    description: str
    attribute: str


@dataclass(frozen=True, slots=True)
class Board:
    key: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel | LogPanel, ...]], ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for _, members in self.rows for panel in members if isinstance(panel, Panel))


def _panel(title: str, description: str, *queries: Query, stat: bool = False, limit: float | None = None) -> Panel:
    return Panel(title, description, queries, stat=stat, limit=limit)


def _latency(metric: str, *by: str) -> tuple[Query, ...]:
    return tuple(Query(metric, how, by) for how in (How.P50, How.P95, How.P99))


_STATE = Panel(
    "Incidents",
    "The worst open incident of each rule.",
    (Query("mlmon.alert.state", How.MAX, (MODEL_NAME, ALERT_RULE)),),
    stat=True,
    states=("well", "P3", "P2", "P1"),
)
_ERRORS = _panel(
    "Server errors", "Share of requests that failed with 5xx or an exception.",
    Query("mlmon.requests", How.SHARE, (MODEL_NAME,), ((REQUEST_OUTCOME, "server_error"),)),
)  # fmt: skip
_THROUGHPUT = _panel("Requests", "Requests for predictions.", Query("mlmon.requests", How.RATE, (MODEL_NAME,)))
_DURATION = _panel(
    "Duration", "Time to the last message of the answer: median, 95th and 99th percentile.",
    *_latency("mlmon.prediction.duration", MODEL_NAME),
)  # fmt: skip
_EVIDENCE = _panel(
    "Evidence of drift", "On a log scale; an alarm is raised at 1.",
    Query("mlmon.feature.drift.evidence", How.MAX, (MODEL_NAME, FEATURE)), limit=LIMIT,
)  # fmt: skip
_QUALITY = _panel(
    "Quality", "By the model's metric; estimated until labels arrive, realised after.",
    Query("mlmon.outcome.score", How.MAX, (MODEL_NAME, SCORE_NAME, ESTIMATED)),
)  # fmt: skip

OVERVIEW = Board(
    "overview", "mlmon: overview", "Does each model still give good answers?",
    (
        ("Now", (
            _STATE,
            LogPanel("Alerts", "Each incident opened, raised or resolved, in one sentence.", ALERT_TRANSITION),
        )),
        ("Data, predictions, outcomes", (
            _EVIDENCE,
            _panel("Features drifted", "Share of watched features that an alarm has named.",
                   Query("mlmon.drift.features.drifted.ratio", How.MAX, (MODEL_NAME,))),
            _panel("Drift of predictions", "Distance of the newest day from the baseline.",
                   Query("mlmon.prediction.drift.score", How.MAX, (MODEL_NAME, METHOD))),
            _QUALITY,
        )),
        ("Service", (_THROUGHPUT, _ERRORS, _DURATION)),
        ("Incidents over time", (
            _panel("Transitions", "Incidents opened, raised and resolved, per second.",
                   Query("mlmon.alert.transitions", How.RATE, (MODEL_NAME, ALERT_RULE, ALERT_TRANSITION))),
            _panel("By layer", "The worst open incident of each layer: 1 is P3, 2 is P2, 3 is P1.",
                   Query("mlmon.alert.state", How.MAX, (MODEL_NAME, ALERT_LAYER))),
        )),
    ),
)  # fmt: skip

DATA = Board(
    "data", "mlmon: data", "What comes in, held against the baseline.",
    (
        ("Drift", (
            _EVIDENCE,
            _panel("Distance", "Of the newest day from the baseline, by feature and method.",
                   Query("mlmon.feature.drift.score", How.MAX, (MODEL_NAME, FEATURE, METHOD))),
        )),
        ("Values", (
            _panel("Missing", "Share of rows without a value.",
                   Query("mlmon.feature.missing.ratio", How.MAX, (MODEL_NAME, FEATURE))),
            _panel("Out of range", "Share of values outside the range the baseline knows.",
                   Query("mlmon.feature.out_of_range.ratio", How.MAX, (MODEL_NAME, FEATURE))),
            _panel("New categories", "Share of values in categories the baseline does not know.",
                   Query("mlmon.feature.unseen_category.ratio", How.MAX, (MODEL_NAME, FEATURE))),
            _panel("Mean", "Of numeric features.", Query("mlmon.feature.mean", How.MAX, (MODEL_NAME, FEATURE))),
            _panel("Standard deviation", "Of numeric features.",
                   Query("mlmon.feature.stddev", How.MAX, (MODEL_NAME, FEATURE))),
        )),
        ("Form", (
            _panel("Schema violations", "Rows whose columns are not those that are expected, per second.",
                   Query("mlmon.schema.violations", How.RATE, (MODEL_NAME, VIOLATION))),
            _panel("Rows in the window", "What the figures of a day rest on.",
                   Query("mlmon.window.samples", How.MAX, (MODEL_NAME, WINDOW)), stat=True),
        )),
        ("Fleet", (
            _panel("Values in bins", "Of all hubs together; with `export.bins`.",
                   Query("mlmon.feature.bin", How.SUM, (MODEL_NAME, FEATURE, BIN))),
            _panel("Baseline in bins", "Share of the baseline's values; with `export.bins`.",
                   Query("mlmon.baseline.bin.ratio", How.MAX, (MODEL_NAME, FEATURE, BIN))),
        )),
    ),
)  # fmt: skip

PREDICTIONS = Board(
    "predictions", "mlmon: predictions", "What the models answer.",
    (
        ("Answers", (
            _panel("Classes", "Predictions of each class, per second.",
                   Query("mlmon.prediction.class", How.RATE, (MODEL_NAME, CLASS))),
            _panel("Dominant", "Share of the most frequent prediction: a stuck model comes near to 1.",
                   Query("mlmon.prediction.dominant.ratio", How.MAX, (MODEL_NAME,))),
            _panel("Confidence", "Mean confidence.",
                   Query("mlmon.prediction.confidence.mean", How.MAX, (MODEL_NAME,))),
            _panel("Drift of predictions", "Distance of the newest day from the baseline.",
                   Query("mlmon.prediction.drift.score", How.MAX, (MODEL_NAME, METHOD))),
        )),
        ("Versions", (
            _panel("Predicted rows", "Of each version, per second.",
                   Query("mlmon.predictions", How.RATE, (MODEL_NAME, MODEL_VERSION))),
            _panel("Rows of a request", "Median and 99th percentile.",
                   *(Query("mlmon.batch.size", how, (MODEL_NAME,)) for how in (How.P50, How.P99))),
        )),
        ("Logged predictions", (
            LogPanel("Predictions", "The sample that `export.prediction_logs` asks for.", "mlmon.prediction.id"),
        )),
    ),
)  # fmt: skip

OUTCOMES = Board(
    "outcomes", "mlmon: outcomes", "Were the answers right?",
    (
        ("Quality", (
            _QUALITY,
            _panel("Coverage", "Share of the window's predictions that have a label.",
                   Query("mlmon.outcome.coverage.ratio", How.MAX, (MODEL_NAME,))),
            _panel("Labels", "By what became of them, per second.",
                   Query("mlmon.outcome.labels", How.RATE, (MODEL_NAME, LABEL_STATUS))),
        )),
    ),
)  # fmt: skip

LLM = Board(
    "llm", "mlmon: language models", "Speed, tokens and endings of language models.",
    (
        ("Speed", (
            _panel("Duration", "Time to the last message of the answer.",
                   *_latency("gen_ai.server.request.duration", REQUEST_MODEL)),
            _panel("First token", "Time to the first message with content.",
                   *_latency("gen_ai.server.time_to_first_token", REQUEST_MODEL)),
            _panel("Per token", "Time for each token after the first.",
                   *_latency("gen_ai.server.time_per_output_token", REQUEST_MODEL)),
        )),
        ("Tokens and endings", (
            _panel("Tokens of a request", "Mean, as the server counted them.",
                   Query("gen_ai.client.token.usage", How.MEAN, (REQUEST_MODEL, TOKEN_TYPE))),
            _panel("Endings", "Completions by the reason they ended for, per second.",
                   Query("mlmon.llm.finish", How.RATE, (MODEL_NAME, FINISH_REASON))),
        )),
    ),
)  # fmt: skip

SERVING = Board(
    "serving", "mlmon: serving", "The service around the models: speed, processes, GPUs.",
    (
        ("Requests", (
            _THROUGHPUT,
            _panel("By ending", "Requests per second by how they ended.",
                   Query("mlmon.requests", How.RATE, (REQUEST_OUTCOME,))),
            _ERRORS,
            _panel("Active", "Requests that are being worked on.",
                   Query("mlmon.request.active", How.SUM, (MODEL_NAME,))),
            _DURATION,
            _panel("First byte", "Time to the first message of the answer's body.",
                   *_latency("mlmon.prediction.time_to_first_byte", MODEL_NAME)),
            _panel("Queues", "Those the application told of with `watch_queue`.",
                   Query("mlmon.queue.depth", How.SUM, (QUEUE,))),
        )),
        ("Processes", (
            _panel("CPU", "Processors in use.", Query("process.cpu.time", How.RATE, (CPU_MODE,))),
            _panel("Memory", "Of all processes.", Query("process.memory.usage", How.SUM)),
            _panel("Threads", "Of all processes.", Query("process.thread.count", How.SUM)),
            _panel("Descriptors", "Of all processes.", Query("process.unix.file_descriptor.count", How.SUM)),
            _panel("Event loop", "How late it runs a timer: a handler that blocks shows here.",
                   *_latency("mlmon.event_loop.lag")),
            _panel("Garbage collection", "Duration of a collection.", *_latency("mlmon.gc.pause")),
            _panel("Up since", "Age of the oldest process.", Query("process.uptime", How.MAX), stat=True),
            _panel("Loading", "Time a model took to load.",
                   Query("mlmon.model.load.duration", How.MAX, (MODEL_NAME,)), stat=True),
        )),
        ("Host of the hub", (
            _panel("Host memory", "In each state, and altogether; from `mlmon hub`.",
                   Query("system.memory.usage", How.MAX, (MEMORY_STATE,)),
                   Query("system.memory.limit", How.MAX)),
            _panel("Host memory by state", "Share of the host's memory; from `mlmon hub`.",
                   Query("system.memory.utilization", How.MAX, (MEMORY_STATE,))),
        )),
        ("GPUs", (
            _panel("Utilisation", "Share of time in which a GPU worked.",
                   Query("hw.gpu.utilization", How.MAX, (GPU,))),
            _panel("Memory in use", "Of each GPU or part of one, and how much there is.",
                   Query("hw.gpu.memory.usage", How.MAX, (GPU,)), Query("hw.gpu.memory.limit", How.MAX, (GPU,))),
            _panel("Temperature", "Of each GPU.", Query("hw.temperature", How.MAX, (GPU,))),
            _panel("Power", "Of each GPU.", Query("hw.power", How.MAX, (GPU,))),
        )),
    ),
)  # fmt: skip

SELF = Board(
    "self", "mlmon: the monitor itself", "Whether the monitor sees everything, and what it costs.",
    (
        ("Losses", (
            _panel("Lost", "Records per second, by kind and reason.",
                   Query("mlmon.self.dropped", How.RATE, (DROP_KIND, DROP_REASON))),
            _panel("Faults", "Failures inside the monitor, per second.",
                   Query("mlmon.self.errors", How.RATE, (COMPONENT, ERROR_TYPE))),
            _panel("Failed exports", "Per second.",
                   Query("mlmon.self.export.failures", How.RATE, (SIGNAL, ERROR_TYPE))),
        )),
        ("Delays", (
            _panel("Waiting to be recorded", "Bytes between event loop and recorder, and how many there may be.",
                   Query("mlmon.self.queue.size", How.MAX), Query("mlmon.self.queue.limit", How.MAX)),
            _panel("Flush lag", "Age of the oldest flush the hub has not acknowledged.",
                   Query("mlmon.self.flush.lag", How.MAX)),
            _panel("Last sealed minute", "Time since.", Query("mlmon.self.aggregate.age", How.MAX, (MODEL_NAME,))),
        )),
        ("State", (
            _panel("Hubs", "One for each store.", Query("mlmon.self.hub.leader", How.SUM), stat=True),
            _panel("Age of the baseline", "Time since it was built.",
                   Query("mlmon.self.baseline.age", How.MAX, (MODEL_NAME,)), stat=True),
            _panel("Redacted", "Matches of personal data replaced, per second.",
                   Query("mlmon.self.redactions", How.RATE, (PII_TYPE,))),
        )),
    ),
)  # fmt: skip

BOARDS = (OVERVIEW, DATA, PREDICTIONS, OUTCOMES, LLM, SERVING, SELF)
