"""What the page and the status API read, and what is exported: whole, typed, and without a number that is none."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import orjson
import pytest
from hub_parts import AHEAD_MINUTES, DAY_MINUTES, LAYOUT, START, Watched, batch, kept, panes, plan, traffic
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.export.catalog import CATALOG, MAX_ATTRIBUTES, Emitter, Kind
from mlmon_sidecar.hub.curves import latency
from mlmon_sidecar.hub.model_view import WARM_ROWS
from mlmon_sidecar.hub.view import SERIES, IncidentsView, ModelView, SeriesView, StatusView
from mlmon_sidecar.records import MINUTE_NS, Label, Measurement
from mlmon_sidecar.statistics.layout import DURATION_EDGES, Layout
from mlmon_sidecar.store.contract import ModelState, Point, Seal


def exactly(view: Any) -> Any:
    """The same type for pydantic, which cannot read Python 3.11's own TypedDict, and no key beyond it."""
    if is_typeddict(view):
        made = TypedDict(view.__name__, {k: exactly(t) for k, t in get_type_hints(view, include_extras=True).items()})
        made.__pydantic_config__ = ConfigDict(extra="forbid")
        return made
    if get_origin(view) is UnionType:
        return Union[tuple(map(exactly, get_args(view)))]  # noqa: UP007  # from a tuple
    if get_origin(view) in (list, dict, NotRequired):
        arguments = tuple(map(exactly, get_args(view)))
        return get_origin(view)[arguments if len(arguments) > 1 else arguments[0]]
    return view


STATUS, INCIDENTS, CURVE = (TypeAdapter(exactly(view)) for view in (StatusView, IncidentsView, SeriesView))


@pytest.fixture(name="watched")
def _watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.hub.close()


def status(watched: Watched) -> StatusView:
    answer = watched.hub.query("status", {})
    assert b"NaN" not in answer and b"Infinity" not in answer
    view = STATUS.validate_json(answer, strict=True)
    assert list(_ratios(view)) == [value for value in _ratios(view) if 0 <= value <= 1]
    return view


def model(watched: Watched) -> ModelView:
    return status(watched)["models"][0]


def _ratios(view: object, key: str = "") -> Iterator[float]:
    """Every share in a view; orjson writes NaN as null, so those are missed here and found by their reasons."""
    shares = {"ratio", "reference_ratio", "missing", "out_of_range", "unseen", "error_ratio", "coverage", "realised",
              "low", "high", "estimated", "confidence_mean", "drift"}  # fmt: skip
    if isinstance(view, dict):
        for name, value in view.items():
            yield from _ratios(value, name)
    elif isinstance(view, list):
        for value in view:
            yield from _ratios(value)
    elif key in shares and isinstance(view, float | int):
        yield view


def series(watched: Watched, name: str, label: str = "", since_minute: int = 0) -> SeriesView:
    params = {"model": "m", "name": name, "label": label, "since": str(since_minute * 60_000)}
    view = CURVE.validate_json(watched.hub.query("series", params), strict=True)
    assert len(view["t"]) == len(view["v"]) and view["t"] == sorted(set(view["t"]))
    return view


def busy(watched: Watched, days: int = 2) -> None:
    """Days of traffic with a collapse at their end, and labels for some."""
    for day in range(days):
        minute = START + day * DAY_MINUTES
        rows = [kept(f"p{day}{n}", minute) for n in range(10)]
        sent = [traffic(minute + at, rows=300) for at in range(0, 300, 60)]
        watched.flush(*sent, through=minute + 300, rows=rows)
        watched.hub.labels([Label(f"p{day}{n}", "yes" if n % 3 else "no", minute * MINUTE_NS) for n in range(6)])
    last = START + days * DAY_MINUTES + 360  # more than a day after the rest
    watched.flush(traffic(last, rows=200, score=0.9), through=last)
    watched.clock.seconds = (last + 5 - START) * 60
    watched.flush(through=last)  # heard just now
    watched.hub.tick()
    watched.hub.tick()


# ---------------------------------------------------------------- status


def test_a_hub_without_models_or_traffic_answers(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [])
    view = status(watched)
    assert (view["models"], view["incidents"], view["hub"]["recorders"]) == ([], [], [])
    assert view["counters"] == {"requests": 0, "captured": 0, "dropped": {}, "rows": 0, "stored": 0}
    assert orjson.loads(watched.hub.query("incidents", {})) == {"incidents": []}
    watched.hub.close()


def test_before_the_first_prediction_every_missing_figure_has_its_reason(watched: Watched) -> None:
    view = model(watched)
    assert (view["state"], view["watermark_minute"]) == (0, None)
    assert view["sentence"] == "m: waiting for the first predictions"
    assert view["reason"] == f"warming up 0/{WARM_ROWS}"
    assert view["window"] == {
        "hours": 24, "requests": 0, "rows": 0, "errors": 0, "error_ratio": None, "p50_ms": None, "p95_ms": None
    }  # fmt: skip
    assert {f["reason"] for f in view["features"]} == {"no rows in the last 24 hours"}
    assert {f[key] for f in view["features"] for key in ("drift", "missing", "out_of_range", "unseen")} == {None}
    assert view["prediction"]["mean_score"] is None
    assert view["outcome"]["realised"] is None and view["outcome"]["reason"].startswith("needs labels")


def test_a_busy_model_is_described_whole(watched: Watched) -> None:
    busy(watched)
    view = status(watched)
    shown = view["models"][0]
    assert shown["state"] == 1 and shown["sentence"].startswith("m: 1 P1 open: all 200 predictions")
    assert shown["watermark_minute"] == START + 2 * DAY_MINUTES + 360
    assert shown["reason"] == f"warming up 200/{WARM_ROWS}" and shown["window"]["rows"] == 200
    assert shown["baseline"] is not None and shown["baseline"]["rows"] == 8_000
    assert [f["name"] for f in shown["features"]] == ["x", "town"]
    for feature in shown["features"]:
        assert feature["rows"] == 200 and feature["reason"] == "" and feature["drift"] is not None
        assert feature["missing"] == 0 and feature["evidence"] is not None
    assert [(c["name"], c["ratio"]) for c in shown["prediction"]["classes"]] == [("no", 0), ("yes", 1)]
    assert shown["prediction"]["mean_score"] == pytest.approx(0.9, abs=0.001)
    outcome = shown["outcome"]
    assert (outcome["labelled"], outcome["realised"], outcome["coverage"]) == (12, 8 / 12, 12 / 20)
    assert outcome["low"] is not None and outcome["high"] is not None and outcome["low"] < 8 / 12 < outcome["high"]
    assert outcome["baseline"] == 0.9 and outcome["estimated"] is not None
    keys = [incident["key"] for incident in view["incidents"]]
    assert f"m:collapse:{START + 2 * DAY_MINUTES + 360}" in keys
    opened = [incident["opened_ms"] for incident in view["incidents"]]
    assert opened == sorted(opened, reverse=True)
    (recorder,) = view["hub"]["recorders"]
    assert (recorder["host"], recorder["pid"], recorder["lost"]) == ("host", 1, 0)


def test_enough_rows_need_no_reason(watched: Watched) -> None:
    watched.flush(traffic(START, rows=WARM_ROWS - 1), through=START)
    watched.hub.tick()
    assert model(watched)["reason"] == f"warming up {WARM_ROWS - 1}/{WARM_ROWS}"
    watched.flush(traffic(START + 1, rows=1), through=START + 1)
    watched.hub.tick()
    watched.clock.seconds += 1  # the status is made once a second
    assert model(watched)["reason"] == ""
    assert model(watched)["sentence"] == "m: no open incident"


@pytest.mark.parametrize(("problem", "reason"), [("", "no baseline: "), ("the file is gone", "the file is gone")])
def test_without_a_baseline_it_says_so(tmp_path: Path, problem: str, reason: str) -> None:
    watched = Watched(tmp_path, [plan(baseline=None, layout=Layout.bare("m"), problem=problem)])
    watched.flush(panes(batch([START] * 150, score=0.9), layout=Layout.bare("m"))[0], through=START)
    watched.hub.tick()
    view = model(watched)
    assert view["reason"].startswith(reason)
    assert (view["baseline"], view["features"], view["prediction"]["reason"]) == (None, [], "no baseline")
    assert view["prediction"]["drift"] is None and view["state"] == 2  # how odd it is nobody can tell
    check_figures(watched.hub.measurements())
    watched.hub.close()


def test_a_column_without_values_disables_no_other(watched: Watched) -> None:
    (pane,) = panes(batch([START] * 50, x=[None] * 50))
    watched.flush(pane, through=START)
    watched.hub.tick()
    x, town = model(watched)["features"]
    assert (x["missing"], x["drift"], x["reason"]) == (1.0, None, "all values are missing")
    assert (town["missing"], town["reason"]) == (0.0, "") and town["drift"] is not None


def test_values_outside_and_unseen_are_shares_of_the_rows(watched: Watched) -> None:
    (pane,) = panes(batch([START] * 8, x=[-9.0, 9.0, 0, 0, 0, 0, 0, 0], town=["A"] * 6 + ["Z", None]))
    watched.flush(pane, through=START)
    watched.hub.tick()
    x, town = model(watched)["features"]
    assert (x["out_of_range"], x["unseen"]) == (0.25, None)
    assert (town["out_of_range"], town["unseen"], town["missing"]) == (None, 1 / 7, 1 / 8)


def test_counters_are_those_of_all_recorders(watched: Watched) -> None:
    dropped = {names.DROPPED_PREFIX + "not_json": 2, names.DROPPED_PREFIX + "queue_full": 1}
    told = {names.ACCEPTED: 10, names.DECODED: 7, names.ROWS: 9, **dropped, "errors.decode.ValueError": 4}
    for recorder in ("a", "b"):
        watched.flush(recorder=recorder, counters=told, rows=[kept(recorder, START)])
    counters = status(watched)["counters"]
    assert counters == {
        "requests": 20, "captured": 14, "dropped": {"not_json": 4, "queue_full": 2}, "rows": 18, "stored": 2
    }  # fmt: skip
    assert counters["captured"] + sum(counters["dropped"].values()) == counters["requests"]


def test_versions_are_listed_newest_first(watched: Watched) -> None:
    watched.flush(rows=[kept("a", START, version="v1"), kept("b", START + 9, version="v2"), kept("c", START + 1)])
    alone = {"compared_with": "", "shadow": False}
    assert model(watched)["versions"] == [
        {"version": "v2", "rows": 1, "last_minute": START + 9, **alone},
        {"version": "v1", "rows": 2, "last_minute": START + 1, **alone},
    ]


def test_incidents_can_be_asked_of_one_model(watched: Watched) -> None:
    busy(watched)
    for params, some in (({}, True), ({"model": "m"}, True), ({"model": "n"}, False)):
        view = INCIDENTS.validate_json(watched.hub.query("incidents", params), strict=True)
        assert bool(view["incidents"]) == some


def test_an_unknown_query_is_refused(watched: Watched) -> None:
    with pytest.raises(MlmonError) as refusal:
        watched.hub.query("secrets", {})
    assert refusal.value.code == "unknown_query"


@pytest.mark.parametrize("params", [{}, {"model": "m"}, {"model": "m", "name": "requests", "since": "x"}])
def test_a_series_query_without_its_parameters_is_refused(watched: Watched, params: dict[str, str]) -> None:
    with pytest.raises(MlmonError) as refusal:
        watched.hub.query("series", params)
    assert refusal.value.code == "bad_query"


# ---------------------------------------------------------------- series


def test_every_curve_that_is_written_has_a_documented_name(watched: Watched) -> None:
    written: set[str] = set()
    seal = watched.store.seal

    def noting(item: Seal) -> None:
        written.update(point.name for point in item.series)
        assert all(math.isfinite(point.value) for point in item.series)
        seal(item)

    watched.store.seal = noting  # type: ignore[method-assign, assignment]  # to see what goes by
    busy(watched)
    assert written <= set(SERIES)
    assert {"drift_score", "drift_evidence", "class_ratio", "score_mean", "accuracy_estimated"} <= written
    for name in SERIES:
        series(watched, name)


def test_short_curves_are_by_the_minute_and_long_ones_by_the_hour(watched: Watched) -> None:
    def write(name: str, values: Sequence[tuple[int, float]]) -> None:
        points = [Point(name, "", START + minute, value) for minute, value in values]
        watched.store.seal(Seal("m", (), (), ModelState(0, b"", b""), points, ()))

    for name in ("requests", "p95_ms"):
        write(name, [(0, 60.0), (1, 120.0), (720, 30.0)])
        short = series(watched, name)
        every = dict.fromkeys(range(721), 0.0) if name == "requests" else {}  # a minute without requests had none
        expected = {**every, 0: 60, 1: 120, 720: 30}
        assert short["t"] == [(START + at) * 60_000 for at in expected] and short["v"] == list(expected.values())
        write(name, [(721, 90.0)])
    requests, p95 = series(watched, "requests"), series(watched, "p95_ms")
    assert p95["t"] == [START * 60_000, (START + 720) * 60_000]
    assert requests["t"] == [(START + 60 * hour) * 60_000 for hour in range(13)]
    assert requests["v"] == [3.0, *[0.0] * 11, 60.0]  # per minute, and of the last hour over its two minutes so far
    assert p95["v"] == [90.0, 60.0]  # the mean over minutes with traffic
    assert series(watched, "requests", since_minute=START + 700)["v"] == [30, 90]


def test_a_week_of_minutes_is_drawn_whole(watched: Watched) -> None:
    points = [Point("requests", "", START + minute, 1.0) for minute in range(7 * DAY_MINUTES)]
    watched.store.seal(Seal("m", (), (), ModelState(0, b"", b""), points, ()))
    view = series(watched, "requests", since_minute=START)
    assert len(view["t"]) == 7 * 24 and set(view["v"]) == {1.0}


def test_there_is_nothing_after_the_end_of_time(watched: Watched) -> None:
    busy(watched)
    for name in ("requests", "accuracy"):
        assert series(watched, name, since_minute=10**30)["t"] == []


def test_daily_outcomes_are_by_the_day_of_the_prediction(watched: Watched) -> None:
    busy(watched)
    days = [(START + day * DAY_MINUTES) * 60_000 for day in range(2)]
    assert series(watched, "accuracy") == {"name": "accuracy", "label": "", "t": days, "v": [4 / 6, 4 / 6]}
    assert series(watched, "coverage")["v"] == [0.6, 0.6]
    assert series(watched, "accuracy", since_minute=START + DAY_MINUTES)["t"] == days[1:]


# ---------------------------------------------------------------- figures


def check_figures(figures: Sequence[Any]) -> dict[str, list[Measurement]]:
    """By name; each has its place in the catalogue and its own attributes."""
    found: dict[str, list[Measurement]] = {}
    for figure in figures:
        metric = CATALOG[figure.name]
        assert metric.source is Emitter.HUB or figure.name == "mlmon.self.hub.leader"
        keys = [key for key, _ in figure.attributes]
        assert len(keys) == len(set(keys)) <= MAX_ATTRIBUTES and set(keys) <= set(metric.attributes)
        assert all(type(value) is str for _, value in figure.attributes)
        assert type(figure.value) in (int, float) and math.isfinite(figure.value)
        assert metric.unit != "1" or 0 <= figure.value <= 1
        found.setdefault(figure.name, []).append(figure)
    for same in found.values():
        assert len({frozenset(figure.attributes) for figure in same}) == len(same)
    return found


def test_every_figure_of_the_hub_has_its_place_in_the_catalogue(watched: Watched) -> None:
    check_figures(watched.hub.measurements())
    busy(watched)
    found = check_figures(watched.hub.measurements())
    expected = {name for name, metric in CATALOG.items() if metric.source is Emitter.HUB}
    missing = expected - set(found)
    bins = {"mlmon.feature.bin", "mlmon.baseline.bin.ratio"}  # nobody asked for them
    assert missing <= {"mlmon.prediction.confidence.mean", *bins}  # nobody said how sure it was
    states = {dict(f.attributes)["mlmon.alert.rule"]: f.value for f in found["mlmon.alert.state"]}
    assert states["collapse"] == 3 and states["null_rate"] == 0
    opened = {dict(f.attributes)["mlmon.alert.rule"]: f.value for f in found["mlmon.alert.transitions"]}
    assert opened["collapse"] == 1
    assert {dict(f.attributes)["mlmon.label.status"]: f.value for f in found["mlmon.outcome.labels"]} == {"matched": 12}
    assert found["mlmon.self.aggregate.age"][0].value == 240 + AHEAD_MINUTES * 60
    assert sum(f.value for f in found["mlmon.prediction.class"]) == 2 * 5 * 300 + 200


def test_counters_never_fall(watched: Watched) -> None:
    last: dict[tuple[str, object], float] = {}
    for step in range(12):
        minute = START + 30 * step
        watched.flush(traffic(minute), through=minute, rows=[kept(f"p{step}", minute)])
        watched.hub.labels([Label(f"p{max(0, step - late)}", "yes" if late else "no", 0) for late in range(2)])
        for tick in (False, True):
            if tick:
                watched.hub.tick()
            for figure in watched.hub.measurements():
                if CATALOG[figure.name].kind is Kind.COUNTER:
                    assert isinstance(figure, Measurement)
                    key = figure.name, figure.attributes
                    assert figure.value >= last.get(key, 0)
                    last[key] = figure.value
    assert last


def test_latency_is_linear_within_a_bin() -> None:
    vector = np.zeros(LAYOUT.size, np.int64)
    assert latency(LAYOUT, vector, 0.5) is None
    bins = vector[LAYOUT.traffic.duration]
    bins[3] = 100  # between 5 and 10 ms
    assert latency(LAYOUT, vector, 0.5) == pytest.approx(0.0075)
    bins[-1] = 900  # beyond the last edge nothing more can be told
    assert latency(LAYOUT, vector, 0.95) == DURATION_EDGES[-1]
