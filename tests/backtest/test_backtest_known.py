"""Known incidents are matched with what alerts newly name, between onset and end."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.alerts.incidents import OPENED, RESOLVED, WAITING, WIDENED, Transition
from mlmon_sidecar.backtest.known import FOREVER, KnownIncident, detections, read_known
from mlmon_sidecar.backtest.replay import Alert, Replayed, Timeline
from mlmon_sidecar.backtest.report import Said, report
from mlmon_sidecar.demo.summary import Alert as DemoAlert
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import MINUTE_NS, Incident, Layer, Tier

DAY = 1440
START = 20_000 * DAY
TIMELINE = Timeline(START, np.arange(START + 59, START + 10 * DAY, 60), np.arange(1, 241) * 10)  # ten an hour


def alert(
    rule: str, opened: int, *moves: tuple[int, str, tuple[str, ...], tuple[str, ...]], tier: Tier = Tier.P3
) -> Alert:
    """``moves``: (minute after the start, kind, features, those still waiting)."""
    first = Incident(
        f"m:{rule}:{opened}", "m", rule, Layer.DATA, tier, START + opened, None, "it moved", 1.0, (),
        details={"features": {"x": {"onset_minute": START + opened - 5}}},
    )  # fmt: skip
    told = [
        Transition(
            dataclasses.replace(
                first, features=features, details={**first.details, WAITING: list(waiting)},
                resolved_minute=START + minute if kind == RESOLVED else None,
            ),
            kind,
            START + minute,
        )
        for minute, kind, features, waiting in moves
    ]  # fmt: skip
    return Alert(told[-1].incident, tuple(told))


DRIFT = alert(
    "feature_drift", 179, (179, OPENED, ("x",), ("x",)), (659, WIDENED, ("x", "y"), ("x", "y")),
    (2099, "", ("x", "y"), ("y",)), (2999, "", ("x", "y"), ("y", "x")), (5999, RESOLVED, ("x", "y"), ()),
)  # fmt: skip


def known(onset: float, end: float = FOREVER, *features: str) -> KnownIncident:
    return KnownIncident(
        "k",
        int((START + onset) * MINUTE_NS),
        end if end == FOREVER else int((START + end) * MINUTE_NS),
        frozenset(features),
    )


@pytest.mark.parametrize(
    ("item", "minute", "rows"),
    [
        (known(0), 179, 30),
        (known(120), 179, 10),
        (known(0, FOREVER, "y"), 659, 110),
        (known(180, FOREVER), 659, 80),
        (known(2100, FOREVER, "x"), 2999, 150),  # it came back into an alert that was still open
        (known(0, 179), None, None),  # over before anybody told
        (known(0, FOREVER, "z"), None, None),
        (known(6000), None, None),
    ],
)
def test_the_first_telling(item: KnownIncident, minute: int | None, rows: int | None) -> None:
    (found,), unmatched = detections([item], [DRIFT], TIMELINE)
    assert (found.alert is None, bool(unmatched)) == (minute is None, minute is None)
    if minute is not None:
        assert (found.minute - START, found.rows) == (minute, rows)
        assert found.delay_hours == pytest.approx((minute + 1 - (item.onset_ns / MINUTE_NS - START)) / 60)
    else:
        assert found.delay_hours is None


def test_alerts_about_nothing_known_are_named() -> None:
    stray = alert("null_rate", 5, (5, OPENED, ("n",), ("n",)))
    _, unmatched = detections([known(0, FOREVER, "x")], [stray, DRIFT], TIMELINE)
    assert unmatched == [stray]


ITEMS = [
    {"name": "late", "onset": "2024-10-10T00:00:00Z"},
    {"name": "early", "onset": 1_728_000_000, "features": ["x"]},
]


@pytest.mark.parametrize("document", [ITEMS, {"incidents": ITEMS}])
def test_json_in_the_order_of_onsets(tmp_path: Path, document: object) -> None:
    (tmp_path / "k.json").write_text(json.dumps(document))
    first, second = read_known(tmp_path / "k.json")
    assert (first.name, first.features, first.onset_ns) == ("early", {"x"}, 1_728_000_000 * 10**9)
    assert (first.end_ns, second.end_ns) == (second.onset_ns, FOREVER)  # one lasts until the next begins


def test_csv_with_ends_and_features(tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text("name,onset,end,features\na,2024-10-04T00:00:00Z,2024-10-05T00:00:00Z,x; y\n")
    (item,) = read_known(tmp_path / "k.csv")
    assert (item.features, item.end_ns - item.onset_ns) == ({"x", "y"}, 86_400 * 10**9)


@pytest.mark.parametrize(
    "text", ["{", '{"a": 1}', '[{"name": "a"}]', '[{"onset": 2e9, "end": 1e9}]', '[{"onset": 1e9, "features": 3}]']
)
def test_what_is_no_list_of_incidents_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.json").write_text(text)
    with pytest.raises(BaselineError) as caught:
        read_known(tmp_path / "k.json")
    assert caught.value.code == "incidents_format"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="cannot be read"):
        read_known(tmp_path / "k.json")


def test_the_report_has_the_demo_s_shape() -> None:
    stray = alert("null_rate", 5, (5, OPENED, ("n",), ("n",)), tier=Tier.P2)
    said = Said("m", (90.0, 7.0), {"lines that are no rows": 0, "labels that are late": 2}, ("a note",))
    told = report(Replayed(TIMELINE, [[stray, DRIFT], [DRIFT]]), [known(0, FOREVER, "x")], said)
    assert DemoAlert.__annotations__.keys() - {"period"} <= told["alerts"][0].keys()
    assert [(a["tier"], a["rule"], a["features"]) for a in told["alerts"]] == [
        ("P2", "null_rate", ["n"]), ("P3", "feature_drift", ["x", "y"])
    ]  # fmt: skip
    drift = told["alerts"][1]
    assert (drift["opened"], drift["resolved"]) == ("2024-10-04T02:59:00+00:00", "2024-10-08T03:59:00+00:00")
    assert drift["onset"] == "2024-10-04T02:54:00+00:00"
    assert [move["kind"] for move in drift["moves"]] == ["opened", "widened", "resolved"]
    assert (told["known"][0]["delay_hours"], told["known"][0]["rows"], told["known"][0]["alert"]) == (3.0, 30, 1)
    assert (told["unmatched"], told["skipped"], told["notes"]) == ([0], {"labels that are late": 2}, ["a note"])
    assert (told["rows"], told["start"], told["end"]) == (
        2_400,
        "2024-10-04T00:00:00+00:00",
        "2024-10-14T00:00:00+00:00",
    )
    assert [(each["false_alarm_days"], each["alerts"], each["unmatched"]) for each in told["sweep"]] == [
        (7.0, 1, 0),
        (90.0, 2, 1),
    ]
    assert told["sweep"][1]["tiers"] == {"P1": 0, "P2": 1, "P3": 1}
