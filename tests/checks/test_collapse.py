"""One answer to every question: paged when it is improbable, and only then."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.checks.collapse import collapse_window, is_identical, newest_window
from mlmon_sidecar.checks.context import VersionAnswers
from mlmon_sidecar.records import Tier, Window

sys.path.insert(0, str(Path(__file__).parent))
from service_traffic import baseline, pane, rows

COLLAPSE = CHECKS["collapse"]
LAYOUT = baseline().layout


def context(newest_first: list[Window], *, with_baseline: bool = True) -> CheckContext:
    return CheckContext(
        "loans", newest_first[0].start_minute, LAYOUT, baseline().reference if with_baseline else None,
        identical=collapse_window(LAYOUT, newest_first), newest=newest_window(LAYOUT, newest_first),
    )  # fmt: skip


def minutes(count: int, per_minute: int, *, score: float | None, start: int = 0) -> list[Window]:
    """Newest first."""
    made = [pane(minute, rows(300 + minute, per_minute, score=score)) for minute in range(start, start + count)]
    return made[::-1]


def test_one_minute_of_identical_answers_pages() -> None:
    (finding,) = COLLAPSE.evaluate(context(minutes(1, 150, score=0.42)))
    assert (finding.tier, finding.features, finding.rows) == (Tier.P1, ("prediction",), 150)
    assert finding.evidence > 1
    assert finding.summary == "all 150 predictions in the last 1 min are identical, on different inputs"


def test_low_traffic_pages_as_soon_as_its_minutes_together_hold_enough() -> None:
    panes = minutes(60, 2, score=0.42)
    assert COLLAPSE.evaluate(context(panes[10:])) == []
    (finding,) = COLLAPSE.evaluate(context(panes))
    assert finding.rows == 120


def test_the_window_stops_where_answers_differed() -> None:
    panes = minutes(3, 60, score=0.42, start=5) + minutes(5, 60, score=None)
    window = collapse_window(LAYOUT, panes)
    assert window is not None
    assert (window.start_minute, window.end_minute) == (5, 8)
    assert collapse_window(LAYOUT, panes[::-1]) is None


def test_a_window_reaches_back_a_day_at_most() -> None:
    old, new = minutes(1, 60, score=0.42, start=0), minutes(1, 60, score=0.42, start=1500)
    window = collapse_window(LAYOUT, new + old)
    assert window is not None
    assert window.start_minute == 1500
    assert newest_window(LAYOUT, new + old) is None


def test_differing_answers_are_no_collapse() -> None:
    assert COLLAPSE.evaluate(context(minutes(2, 200, score=None))) == []


def test_a_repeated_input_may_have_a_repeated_answer() -> None:
    columns = {name: [column[0]] * 200 for name, column in rows(7, 1).items()}
    assert COLLAPSE.evaluate(context([pane(0, columns)])) == []


@pytest.mark.parametrize(("rows_seen", "pages"), [(300, False), (1500, False), (1700, True)])
def test_a_usual_answer_needs_many_repetitions(rows_seen: int, pages: bool) -> None:
    """A bin that holds 99% of the reference: sixteen nats need about 1,600 rows."""
    panes = minutes(1, rows_seen, score=0.42)
    vector = baseline().reference.vector.copy()
    cells = LAYOUT.outputs.score_class
    here = cells.start + int(panes[0].vector[cells].argmax())
    vector[cells] = 0
    vector[cells.start], vector[here] = 100, 9900
    usual = replace(context(panes), reference=replace(baseline().reference, vector=vector))
    assert bool(COLLAPSE.evaluate(usual)) is pages


def test_without_a_baseline_it_is_less_urgent() -> None:
    (finding,) = COLLAPSE.evaluate(context(minutes(1, 150, score=0.42), with_baseline=False))
    assert finding.tier is Tier.P2


def test_it_is_resolved_when_the_newest_hundred_differ() -> None:
    collapsed = minutes(3, 100, score=0.42)
    recovered = minutes(1, 100, score=None, start=3) + collapsed
    assert COLLAPSE.resolved(context(collapsed)) == ()
    assert COLLAPSE.resolved(context(recovered)) == ("prediction",)


def test_it_says_what_it_waits_for() -> None:
    panes = minutes(1, 30, score=0.42)
    assert COLLAPSE.ready(replace(context(panes), recent={"1h": panes[0]})) == "warming up 30/100 predictions"
    assert COLLAPSE.ready(context(minutes(2, 60, score=0.42))) == ""


def test_no_predictions_are_neither_collapse_nor_recovery() -> None:
    empty = replace(minutes(1, 1, score=0.42)[0], vector=baseline().reference.vector * 0, samples={})
    assert is_identical(LAYOUT, empty.vector)
    assert collapse_window(LAYOUT, [empty]) is None
    assert COLLAPSE.evaluate(context([empty])) == []
    assert COLLAPSE.resolved(context([empty])) == ()


def answers(newest_first: list[Window], *, shadow: bool = False) -> VersionAnswers:
    return VersionAnswers(collapse_window(LAYOUT, newest_first), newest_window(LAYOUT, newest_first), shadow)


def test_a_stuck_version_pages_while_the_others_hide_it() -> None:
    varied = minutes(3, 200, score=None)
    by_version = {"v1": answers(varied), "v2": answers(minutes(3, 50, score=0.42))}
    (finding,) = COLLAPSE.evaluate(replace(context(varied), by_version=by_version))
    assert (finding.tier, finding.features, finding.rows) == (Tier.P1, ("version v2",), 150)
    assert finding.summary == "all 150 predictions of version v2 in the last 3 min are identical, on different inputs"


def test_a_stuck_shadow_is_less_urgent() -> None:
    varied = minutes(3, 200, score=None)
    by_version = {"v1": answers(varied), "v2": answers(minutes(3, 50, score=0.42), shadow=True)}
    (finding,) = COLLAPSE.evaluate(replace(context(varied), by_version=by_version))
    assert (finding.tier, finding.features) == (Tier.P2, ("version v2",))


def test_one_version_alone_is_the_model() -> None:
    stuck = minutes(3, 50, score=0.42)
    for by_version in ({"v1": answers(stuck)}, {"v1": answers(stuck), "v2": answers(stuck)}):
        (finding,) = COLLAPSE.evaluate(replace(context(stuck), by_version=by_version))
        assert finding.features == ("prediction",)


def test_a_version_is_right_again_when_it_differs_or_has_gone() -> None:
    varied, stuck = minutes(3, 200, score=None), minutes(3, 50, score=0.42)
    told = replace(context(varied), collapsed=frozenset({"version v2"}))
    still = {"v1": answers(varied), "v2": answers(stuck)}
    assert COLLAPSE.resolved(replace(told, by_version=still)) == ("prediction", "version v1")
    assert "version v2" in COLLAPSE.resolved(replace(told, by_version={**still, "v2": answers(varied)}))
    assert "version v2" in COLLAPSE.resolved(replace(told, by_version={"v1": answers(varied)}))
    few = {**still, "v2": answers(minutes(1, 20, score=0.42))}
    assert "version v2" not in COLLAPSE.resolved(replace(told, by_version=few))
