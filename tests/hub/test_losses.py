"""Quality alarms wait while more than a hundredth of the predictions behind them was lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from hub_parts import AHEAD_MINUTES, DAY_MINUTES, START, Watched, kept, plan, traffic

from mlmon_sidecar.checks import CHECKS
from mlmon_sidecar.checks.context import CheckContext, EstimateView, QualityView
from mlmon_sidecar.hub.losses import LossWatch
from mlmon_sidecar.records import MINUTE_NS, Incident, Label, Losses, OutcomeCell
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.losses import losses_in

DAY_NS = DAY_MINUTES * MINUTE_NS


def counted(accepted: int, rows: int, **dropped: int) -> dict[str, int]:
    return {
        "exchanges.accepted": accepted,
        "rows.decoded": rows,
        **{k.replace("_at_", ".dropped."): n for k, n in dropped.items()},
    }


class Told:
    """Of days 7 to 9."""

    def losses(self, first_day: int, last_day: int) -> dict[int, Losses]:
        told = {7: Losses(20, 1_000, 0, 980), 8: Losses(0, 1_000, 50, 1_000), 9: Losses(0, 100, 0, 1_000)}
        return {day: found for day, found in told.items() if first_day <= day <= last_day}


def test_shares_are_those_of_each_day() -> None:
    watch = LossWatch(Told(), None)
    assert [watch.of_day(day) for day in (7, 8, 9, 10)] == [pytest.approx(0.02), pytest.approx(0.05), 0.0, 0.0]
    cells = [OutcomeCell("v", 7, 0, "a", "a", 30), OutcomeCell("v", 8, 0, "a", "b", 10)]
    assert watch.of_labels(10, cells) == pytest.approx(0.0275)
    again = LossWatch(Told(), watch.document)
    assert again.of_labels(11, [OutcomeCell("v", 9, 0, "a", "a", 40)]) == pytest.approx(0.0275 / 2)
    assert again.of_labels(18, []) == 0.0


def test_what_was_no_prediction_is_no_loss() -> None:
    counters = counted(
        1_000, 950, exchanges_at_malformed=20, exchanges_at_not_a_prediction=30, exchanges_at_application_error=5,
        rows_at_flush_refused=7,
    )  # fmt: skip
    assert losses_in(counters) == Losses(20, 965, 7, 950)


@pytest.mark.parametrize(("dropped", "reason"), [(0.0, ""), (0.01, ""), (0.03, "window incomplete: 3.0% dropped")])
def test_the_checks_say_why_they_wait(dropped: float, reason: str) -> None:
    context = CheckContext("m", 9, Layout.bare("m"))
    view = QualityView("accuracy", None, 0.5, 1_000, 0.9, 0.5, dropped)  # type: ignore[arg-type]  # Not looked at.
    assert CHECKS["quality_drop"].ready(replace(context, quality=view)) == reason
    estimate = EstimateView("accuracy", None, 0.5, 1_000, 0.9, 0.5, "", dropped)  # type: ignore[arg-type]
    assert CHECKS["estimate_drop"].ready(replace(context, estimate=estimate)) == reason


def drops_through_the_hub(folder: Path, lost_a_day: int, whole_from: int) -> list[Incident]:
    """100 predictions a day whose labels are half wrong; until ``whole_from`` some more are lost every day."""
    watched = Watched(folder, [plan(horizon_days=20)])
    for day in range(30):
        minute = START + day * DAY_MINUTES
        rows = [kept(f"p{day}-{n}", minute, "yes" if n % 2 else "no") for n in range(100)]
        lost = lost_a_day if day < whole_from else 0
        counters = counted(100 + lost, 100, exchanges_at_queue_full=lost)
        watched.clock.seconds = (day - AHEAD_MINUTES / DAY_MINUTES) * 86_400 + 60 * 30  # the day of the prediction
        watched.flush(traffic(minute, rows=40), through=minute, rows=rows, counters=counters)
        labels = [Label(f"p{day}-{n}", "yes" if n % 4 > 1 else "no", minute * MINUTE_NS) for n in range(100)]
        watched.hub.labels(labels)
        watched.hub.tick()
        if day == 11:
            watched.restart()
    found = [incident for incident in watched.store.incidents() if incident.rule == "quality_drop"]
    watched.hub.close()
    return found


def test_an_alarm_waits_until_the_window_is_whole(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "lossy", "later")]
    for folder in folders:
        folder.mkdir()
    assert drops_through_the_hub(folders[0], 0, 0)[0].opened_minute < START + 12 * DAY_MINUTES
    assert drops_through_the_hub(folders[1], 5, 99) == []
    (late,) = drops_through_the_hub(folders[2], 5, 15)
    assert START + 18 * DAY_MINUTES <= late.opened_minute <= START + 25 * DAY_MINUTES
