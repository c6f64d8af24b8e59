"""Classes of labels through the hub: told when they move, silent when labels are only late, and the same after a
restart."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hub_parts import DAY_MINUTES, START, Watched, baseline, kept, plan, traffic

from mlmon_sidecar.hub.label_drift_watch import LabelDriftWatch, class_counts
from mlmon_sidecar.records import MINUTE_NS, Incident, Label, OutcomeCell

DAY_NS = DAY_MINUTES * MINUTE_NS


def days(
    watched: Watched, rate: Callable[[int], float], delay: Callable[[int], int], restart: int = -1, last: int = 30
) -> list[Incident]:
    """200 predictions a day, each right; ``rate`` of them are positive, whose labels are ``delay`` days late."""
    due: dict[int, list[Label]] = {}
    for day in range(last):
        minute = START + day * DAY_MINUTES
        truth = ["yes" if n < 200 * rate(day) else "no" for n in range(200)]
        rows = [kept(f"p{day}-{n}", minute, said) for n, said in enumerate(truth)]
        for n, said in enumerate(truth):
            age = delay(day) if said == "yes" else n % 3
            due.setdefault(day + age, []).append(Label(f"p{day}-{n}", said, minute * MINUTE_NS + age * DAY_NS))
        watched.flush(traffic(minute, rows=40), through=minute, rows=rows)
        watched.hub.labels(due.pop(day, []))
        watched.hub.tick()
        if day == restart:
            watched.restart()
    return [found for found in watched.store.incidents() if found.rule == "label_drift"]


@pytest.mark.parametrize("restart", [-1, 18])
def test_positives_that_rise_are_told_when_their_days_are_mature(tmp_path: Path, restart: int) -> None:
    watched = Watched(tmp_path, [plan(horizon_days=20)])
    (found,) = days(watched, lambda day: 0.5 if day < 15 else 0.9, lambda day: 2, restart)
    assert set(found.features) == {"no", "yes"} and "'yes' from 50% to" in found.summary
    assert found.opened_minute == START + 19 * DAY_MINUTES, "day 15 is mature when age 2 has closed, on day 19"
    watched.hub.close()


@pytest.mark.parametrize("after", [1, 4])
def test_labels_that_come_sooner_or_later_are_no_change(tmp_path: Path, after: int) -> None:
    watched = Watched(tmp_path, [plan(horizon_days=20)])
    assert days(watched, lambda day: 0.5, lambda day: 2 if day < 15 else after) == []
    watched.hub.close()


def test_corrections_are_no_new_labels() -> None:
    def cell(day: int, actual: str, rows: int) -> OutcomeCell:
        return OutcomeCell("v", day, 0, "no", actual, rows)

    corrected = [cell(1, "no", -40), cell(1, "yes", 40)]
    assert class_counts(corrected, ("no", "yes")).tolist() == [0, 0, 0]
    assert class_counts([*corrected, cell(1, "no", 60)], ("no", "yes")).tolist() == [20, 40, 0]
    assert class_counts([cell(1, "no", 5), cell(2, "maybe", 2), cell(3, "yes", -9)], ("no", "yes")).tolist() == [
        5,
        0,
        2,
    ]


def test_a_baseline_without_labels_watches_nothing() -> None:
    known = baseline()
    bare = plan(baseline=replace(known, reference=replace(known.reference, confusion=())))
    watch = LabelDriftWatch(bare, {"state": "of another baseline", "recent": []})
    assert watch.take(3, [OutcomeCell("v", 1, 0, "no", "no", 5)]) is None and watch.document == {}


def test_the_rule_of_the_labels_knows_the_shares_of_the_baselines_labels() -> None:
    known = baseline()
    shares = [
        dict(plan(baseline=replace(known, reference=replace(known.reference, confusion=counts))).label_rule.shares)
        for counts in (((700, 100), (50, 150)), ((100, 50), (20, 29)), ())
    ]
    assert shares == [{known.layout.prediction.classes[0]: 0.8, known.layout.prediction.classes[1]: 0.2}, {}, {}]


def test_a_state_of_another_baseline_begins_anew() -> None:
    watch = LabelDriftWatch(plan(), None)
    cells = [OutcomeCell("v", 1, 0, "no", "no", 500)]
    first = watch.take(3, cells)
    again = LabelDriftWatch(plan(), watch.document)
    later = [OutcomeCell("v", 1, 9, "no", "yes", 30)]
    for each in (watch, again):
        view = each.take(4, later)
        assert view is not None and view.after == (500, 0, 0), "the last labels of a cohort wait for the next cohort"
        view = each.take(5, [OutcomeCell("v", 2, 0, "no", "no", 10)])
        assert view is not None and view.after == (510, 30, 0)
    assert again.document == watch.document
    known = baseline()
    moved = plan(baseline=replace(known, reference=replace(known.reference, confusion=((90, 10), (10, 90)))))
    fresh = LabelDriftWatch(moved, watch.document)
    assert first is not None and fresh.document["state"] == LabelDriftWatch(moved, None).document["state"]
    assert np.array(fresh.document["recent"]).tolist() == [[3, 500, 0, 0], [4, 0, 0, 0], [5, 10, 30, 0]]
