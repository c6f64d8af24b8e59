"""One figure of every entry of the catalogue, and what a receiver has to make of them."""

from __future__ import annotations

import importlib.util
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlmon_sidecar.export.catalog import CATALOG, EVENTS, Kind
from mlmon_sidecar.records import Distribution, Event, Measurement

BOUNDS = (0.5, 2.0)
READY_SECONDS = 60.0


class Point(NamedTuple):
    attributes: Mapping[str, str]
    value: Any  # a number, or (count, sum, bounds, bucket counts)


class Seen(NamedTuple):
    """A metric as a receiver shows it."""

    unit: str
    description: str
    form: str  # "Sum", "Gauge", "Histogram"
    monotonic: bool
    temporality: str  # "DELTA", "CUMULATIVE", "" for gauges
    points: tuple[Point, ...]


class Log(NamedTuple):
    severity: str
    body: str
    attributes: Mapping[str, str]


def figures(cycle: int) -> Sequence[Measurement | Distribution]:
    """``cycle`` 0, 1, ...: counters and histograms have grown meanwhile, the others are others."""
    found: list[Measurement | Distribution] = []
    for number, metric in enumerate(CATALOG.values(), 1):
        attributes = tuple((key, f"{key} of {number}") for key in metric.attributes)
        if metric.kind is Kind.HISTOGRAM:
            counts = (number + cycle, 2, 3 * cycle)
            found.append(Distribution(metric.name, BOUNDS, counts, number / 4 + cycle, attributes))
        else:
            grown = number + 10 * cycle
            found.append(Measurement(metric.name, grown / 4 if metric.unit in {"1", "s"} else grown, attributes))
    return found


def expected(cycle: int, *, delta: bool) -> dict[str, Seen]:
    """By the tables of the OTLP data model: https://opentelemetry.io/docs/specs/otel/metrics/data-model/"""
    found = {}
    forms = {Kind.COUNTER: "Sum", Kind.UPDOWN: "Sum", Kind.GAUGE: "Gauge", Kind.HISTOGRAM: "Histogram"}
    for number, metric in enumerate(CATALOG.values(), 1):
        differs = delta and metric.kind in (Kind.COUNTER, Kind.HISTOGRAM)
        value: Any
        if metric.kind is Kind.HISTOGRAM:
            value = (number + 2 + 4 * cycle, number / 4 + cycle, BOUNDS, (number + cycle, 2, 3 * cycle))
            if differs and cycle:
                value = (4, 1.0, BOUNDS, (1, 0, 3))
        else:
            divisor = 4 if metric.unit in {"1", "s"} else 1
            value = (10 if differs and cycle else number + 10 * cycle) / divisor
        temporality = "" if metric.kind is Kind.GAUGE else "DELTA" if differs else "CUMULATIVE"
        attributes = {key: f"{key} of {number}" for key in metric.attributes}
        found[metric.name] = Seen(
            metric.unit, metric.description, forms[metric.kind], metric.kind is Kind.COUNTER, temporality,
            (Point(attributes, value),),
        )  # fmt: skip
    return found


def events() -> Sequence[Event]:
    """One of each kind and severity."""
    return [
        Event(event.name, f"It is {severity}.", 1_700_000_000_000_000_000, severity,
              tuple((key, f"{key} here") for key in event.attributes))
        for event in EVENTS.values() for severity in event.severities
    ]  # fmt: skip


def expected_logs() -> dict[tuple[str, str], Log]:
    found = {}
    for event in EVENTS.values():
        attributes = {key: f"{key} here" for key in event.attributes}
        found |= {(event.name, s.value): Log(s.value, f"It is {s}.", attributes) for s in event.severities}
    return found


# ---------------------------------------------------------------- protobuf


def pairs(attributes: Iterable[Any]) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in attributes}


def seen_in_protobuf(metric: Any) -> Seen:
    form = metric.WhichOneof("data")
    data = getattr(metric, form)
    temporality = {0: "", 1: "DELTA", 2: "CUMULATIVE"}[getattr(data, "aggregation_temporality", 0)]
    points = []
    for point in data.data_points:
        if form == "histogram":
            value: Any = (point.count, point.sum, tuple(point.explicit_bounds), tuple(point.bucket_counts))
        else:
            value = getattr(point, point.WhichOneof("value"))
        points.append(Point(pairs(point.attributes), value))
    return Seen(
        metric.unit, metric.description, form.capitalize(), getattr(data, "is_monotonic", False), temporality,
        tuple(points),
    )  # fmt: skip


# ---------------------------------------------------------------- rotel


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rotel_agent() -> Path | None:
    """The program of the package ``rotel``."""
    spec = importlib.util.find_spec("rotel")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "rotel-agent"


class Rotel:
    """A receiver written in Rust by others; what it received is what it prints."""

    def __init__(self, program: Path, folder: Path, ports: tuple[int, int]) -> None:
        self.grpc, self.http = (f"http://127.0.0.1:{port}" for port in ports)
        self._path = folder / "rotel.log"
        self._log = self._path.open("wb")
        listening = [
            f"--otlp-{kind}-endpoint=127.0.0.1:{port}" for kind, port in zip(("grpc", "http"), ports, strict=True)
        ]
        shown = [part for signal in ("traces", "metrics", "logs") for part in ("--debug-log", signal)]
        command = [str(program), "start", *listening, "--exporter", "blackhole", *shown]
        self._process = subprocess.Popen(
            [*command, "--debug-log-verbosity", "detailed"], stdout=self._log, stderr=self._log
        )
        self.wait(lambda text: "Starting Rotel" in text)

    def wait(self, wanted: Callable[[str], bool]) -> str:
        """All it has printed, once that is as wanted."""
        end = time.monotonic() + READY_SECONDS
        pause = threading.Event()
        while not wanted(text := self._path.read_text()):
            assert self._process.poll() is None and time.monotonic() < end, text[-2000:]
            pause.wait(0.05)
        return text

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


def requests(text: str, kind: str) -> list[str]:
    """What was printed of each request; ``kind``: "ResourceMetrics" or "ResourceLog"."""
    parts = re.split(r"^(Resource(?:Metrics|Log)) #\d+$", text, flags=re.MULTILINE)
    return [body for name, body in zip(parts[1::2], parts[2::2], strict=True) if name == kind]


def metrics_of_rotel(request: str) -> dict[str, Seen]:
    found = {}
    for block in re.split(r"^Metric #\d+$", request, flags=re.MULTILINE)[1:]:
        head, *points = re.split(r"^\w+DataPoints #\d+$", block, flags=re.MULTILINE)
        said = dict(re.findall(r"^ +-> (\w+): (.*)$", head, flags=re.MULTILINE))
        found[said["Name"]] = Seen(
            said["Unit"], said["Description"], said["DataType"], said.get("IsMonotonic") == "true",
            said.get("AggregationTemporality", "").removeprefix("AGGREGATION_TEMPORALITY_"),
            tuple(Point(strings(point), _value(point)) for point in points),
        )  # fmt: skip
    return found


def strings(text: str) -> dict[str, str]:
    return dict(re.findall(r"^ +-> ([\w.]+): Str\((.*)\)$", text, flags=re.MULTILINE))


def _value(point: str) -> Any:
    if (single := re.search(r"^Value: (.*)$", point, flags=re.MULTILINE)) is not None:
        return float(single[1])
    said = dict(re.findall(r"^(Count|Sum): (.*)$", point, flags=re.MULTILINE))
    bounds = tuple(map(float, re.findall(r"^ExplicitBounds #\d+: (.*)$", point, flags=re.MULTILINE)))
    counts = tuple(map(int, re.findall(r"^Buckets #\d+, Count: (.*)$", point, flags=re.MULTILINE)))
    return int(said["Count"]), float(said["Sum"]), bounds, counts


def logs_of_rotel(text: str) -> dict[tuple[str, str], Log]:
    found = {}
    for request in requests(text, "ResourceLog"):
        for block in re.split(r"^LogRecord #\d+$", request, flags=re.MULTILINE)[1:]:
            said = dict(re.findall(r"^(EventName|SeverityText|Body): (.*)$", block, flags=re.MULTILINE))
            body = said["Body"].removeprefix("Str(").removesuffix(")")
            found[said["EventName"], said["SeverityText"]] = Log(said["SeverityText"], body, strings(block))
    return found
