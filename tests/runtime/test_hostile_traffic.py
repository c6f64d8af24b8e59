"""Ten thousand features, a thousand categories of each, ten thousand routes, as many versions, ids and header values:
what a receiver nobody here wrote counts stays within the budget, and every sum is exact."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from otlp_collector import Collector

from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.export.budget import MAX_SERIES_MODEL, MAX_SERIES_PROCESS, OTHER
from mlmon_sidecar.export.catalog import CATALOG, FEATURE, MODEL_VERSION, Emitter
from mlmon_sidecar.hub.figures import MAX_FEATURES
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference

FEATURES, CATEGORIES, ROUTES = 10_000, 1_000, 10_000
COLUMNS = 250  # of a large request, which has a row for each category
LARGE = FEATURES // COLUMNS  # requests
REQUESTS, ROWS = ROUTES + LARGE, ROUTES + LARGE * CATEGORIES
KNOWN = 60  # features of the baseline; the others are news to it


class Arrived(NamedTuple):
    last: dict[str, Any]  # metric -> its points in the last export
    series: dict[Emitter, set[tuple[str, frozenset[tuple[str, str]]]]]  # of all exports together
    messages: list[bytes]


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    rows = (await receive())["body"].count(b"{") - 1
    body = b'{"predictions": [' + b"0.5," * (rows - 1) + b"0.5]}"
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def save_baseline(path: Path) -> None:
    edges = tuple(float(edge) for edge in range(-20, 21))
    named: list[Any] = [
        NumericFeature(f"f{n}", edges, tuple(range(2, 40, 4)), -30.0, 30.0, 0.0, 1.0) for n in range(KNOWN // 2)
    ]
    named += [CategoricalFeature(f"f{n}", ("c0", "c1", "c2"), 2) for n in range(KNOWN // 2, KNOWN)]
    space = PredictionSpace("binary", ("no", "yes"), "yes", (0.25, 0.5, 0.75), (1,), 0.5, 0.25, threshold=0.5)
    layout = Layout("m", tuple(named), space)
    reference = Reference(layout.hash, "v0", np.full(layout.size, 40, dtype=np.int64), hours=800, tau={"*": 0.0})
    policy = RedactionPolicy.of("default").hash
    Baseline(layout, reference, created="2024-01-01T00:00:00+00:00", rows=8_000, policy=policy).save(path)


def request(number: int) -> tuple[dict[str, Any], bytes]:
    """The first ``LARGE`` ones have all categories of some features; the others a route of their own each."""
    if number < LARGE:
        row = ", ".join(f'"f{COLUMNS * number + column}": "@"' for column in range(COLUMNS))
        rows = ["{" + row.replace("@", f"c{category}") + "}" for category in range(CATEGORIES)]
    else:
        rows = [f'{{"f0": {number}, "f{KNOWN - 1}": "c{number % CATEGORIES}"}}']
    headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"caller-%d" % number),
        (b"user-agent", b"agent-%d" % number),
    ]
    path = f"/route-{max(0, number - LARGE)}/score"
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "asgi": {"version": "3.0"}}
    return scope, ('{"instances": [' + ", ".join(rows) + "]}").encode()


async def attack(app: MonitorMiddleware, tap: Collector) -> None:
    process, told, begun = app._process, asyncio.Queue[str](), asyncio.Event()
    assert process is not None

    async def hear() -> Any:
        return {"type": await told.get()}

    async def say(message: Any) -> None:
        begun.set()

    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, hear, say))
    await told.put("lifespan.startup")
    await begun.wait()
    for number in range(REQUESTS):
        scope, body = request(number)

        async def receive(body: bytes = body) -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            pass

        await app(scope, receive, send)
        while process.handoff.stats().bytes_in_queue > process.handoff.max_bytes // 2:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.005)
    while process.telemetry.snapshot().get("exchanges.decoded", 0) < REQUESTS:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    while not {"mlmon.feature.missing.ratio"} & {metric.name for metric in tap.arrived["metrics"]}:  # noqa: ASYNC110
        await asyncio.sleep(0.1)  # a minute of the fast clock is sealed, and exported
    await told.put("lifespan.shutdown")
    await life


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrived]:
    folder, tap = tmp_path_factory.mktemp("hostile"), Collector()
    save_baseline(folder / "m.json")
    path = folder / "mlmon.toml"
    path.write_text(
        f"""
        store = "sqlite:///{folder}/mlmon.db"
        flush_interval_seconds = 0.5
        clock_scale = 60
        max_body_bytes = 8000000
        clock_anchor = {time.time()}
        [models.m]
        routes = ["POST /{{version}}/score"]
        baseline = "{folder}/m.json"
        keep = 0
        [export]
        endpoint = "{tap.url}"
        interval_seconds = 60
        prediction_logs = 1.0
        """
    )
    asyncio.run(attack(MonitorMiddleware(application, config=path, strict=True), tap))
    tap.wait("metrics", lambda metrics: "mlmon.self.hub.leader" in {metric.name for metric in metrics})
    tap.close()
    series: dict[Emitter, set[tuple[str, frozenset[tuple[str, str]]]]] = defaultdict(set)
    last = {}
    for metric in tap.arrived["metrics"]:
        points = last[metric.name] = getattr(metric, metric.WhichOneof("data")).data_points
        series[CATALOG[metric.name].source] |= {(metric.name, attributes(point)) for point in points}
    yield Arrived(last, series, [m.SerializeToString() for found in tap.arrived.values() for m in found])


def attributes(point: Any) -> frozenset[tuple[str, str]]:
    return frozenset((pair.key, pair.value.string_value) for pair in point.attributes)


def test_series_are_within_the_budget(arrived: Arrived) -> None:
    """Over all exports together: none was there for a while only."""
    assert 100 < len(arrived.series[Emitter.PROCESS]) <= MAX_SERIES_PROCESS
    assert MAX_FEATURES < len(arrived.series[Emitter.HUB]) <= MAX_SERIES_MODEL


def test_rows_and_requests_are_all_there(arrived: Arrived) -> None:
    assert sum(point.as_int for point in arrived.last["mlmon.predictions"]) == ROWS
    assert sum(point.as_int for point in arrived.last["mlmon.requests"]) == REQUESTS
    versions = {dict(attributes(point))[MODEL_VERSION] for point in arrived.last["mlmon.predictions"]}
    assert {"route-0", OTHER} <= versions


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("mlmon.prediction.duration", None),
        ("mlmon.prediction.time_to_first_byte", None),
        ("mlmon.batch.size", ROWS),
    ],
)
def test_histograms_count_every_request(arrived: Arrived, name: str, total: int | None) -> None:
    points = arrived.last[name]
    assert sum(point.count for point in points) == REQUESTS == sum(sum(point.bucket_counts) for point in points)
    if total is not None:
        assert sum(point.sum for point in points) == total


def test_features_have_fifty_names_and_one_for_the_rest(arrived: Arrived) -> None:
    def named(metric: str) -> set[str]:
        return {dict(attributes(point))[FEATURE] for point in arrived.last[metric]}

    assert len(named("mlmon.feature.missing.ratio")) == MAX_FEATURES
    assert named("mlmon.feature.missing.ratio") < {f"f{n}" for n in range(KNOWN)}
    assert OTHER in named("mlmon.feature.drift.score")


def test_no_category_route_or_header_is_a_label(arrived: Arrived) -> None:
    labels = {value for found in arrived.series.values() for _, key in found for _, value in key}
    assert not [value for value in labels if value.startswith(("c", "caller-", "agent-", "/")) and value[-1].isdigit()]
    assert len([value for value in labels if value.startswith("route-")]) <= 64
    assert not [message for message in arrived.messages if b"agent-1" in message]


def test_nothing_was_refused_or_lost(arrived: Arrived) -> None:
    assert "mlmon.self.errors" not in arrived.last
    assert (
        sum(point.as_int for point in arrived.last["mlmon.self.dropped"] if "exchange" in str(attributes(point))) == 0
    )
