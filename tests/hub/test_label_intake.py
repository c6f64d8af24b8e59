"""Labels through the hub: its models' rules, the sources it trusts, and the silence it hears."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_parts import LAYOUT
from small_hub import MODEL, NOON, ManualClock, open_hub, traffic

from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Assumption, Flush, KeptRow, KeptRows, Label, LabelStatus, RedactedRows
from mlmon_sidecar.statistics.layout import Layout

DAY_NS = 86_400 * 1_000_000_000
NOON_NS = NOON * MINUTE_NS


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock()


def hub_of(path: Path, clock: ManualClock, plan: ModelPlan) -> Hub:
    return open_hub(path / "mlmon.db", clock, [plan])


@pytest.fixture(name="judged")
def _judged(tmp_path: Path, clock: ManualClock) -> Iterator[Hub]:
    hub = hub_of(tmp_path, clock, ModelPlan("m", LAYOUT, horizon_days=10))
    yield hub
    hub.close()


def kept(name: str, event_ns: int, model: str, predicted: str = "yes") -> KeptRow:
    return KeptRow(name, model, "v1", "", event_ns, 0.7, predicted, 0.7, None, "", "", "{}")


def predict(hub: Hub, *rows: KeptRow, recorder: str = "r") -> None:
    hub.flush(Flush(recorder, 1, (), RedactedRows(KeptRows.of(rows)), {}, {}, 0))


def test_the_layouts_classes_and_the_horizon_are_the_rules(judged: Hub) -> None:
    predict(judged, kept("p", NOON_NS - DAY_NS, "m"), kept("old", NOON_NS - 11 * DAY_NS, "m"))
    given = [Label("p", "maybe", NOON_NS), Label("old", "yes", NOON_NS), Label("p", "no", NOON_NS + DAY_NS),
             Label("p", "no", NOON_NS)]  # fmt: skip
    assert [receipt.status for receipt in judged.labels(given)] == [
        LabelStatus.INVALID, LabelStatus.EXPIRED, LabelStatus.INVALID, LabelStatus.ACCEPTED
    ]  # fmt: skip


def test_a_repeated_key_answers_as_before(judged: Hub) -> None:
    predict(judged, kept("p", NOON_NS - DAY_NS, "m"))
    for _ in range(2):
        (receipt,) = judged.labels([Label("p", "no", NOON_NS)], "k" * 64)
        assert receipt.status is LabelStatus.ACCEPTED


def test_a_source_that_the_configuration_now_trusts_is_released_at_the_next_start(
    tmp_path: Path, clock: ManualClock
) -> None:
    plan = ModelPlan("m", LAYOUT)
    for start, labels in enumerate((["no"] * 600, ["yes"] * 300)):
        hub = hub_of(tmp_path, clock, plan)
        names = [f"p{start}-{number}" for number in range(len(labels))]
        predict(hub, *(kept(name, clock.unix_ns(), "m") for name in names), recorder=str(start))
        given = [Label(name, label, clock.unix_ns(), "", "bank") for name, label in zip(names, labels, strict=True)]
        statuses = {receipt.status for receipt in hub.labels(given)}
        assert statuses == {LabelStatus.QUARANTINED if start else LabelStatus.ACCEPTED}
        hub.tick()
        hub.close()
        clock.go(86_400)
    hub = hub_of(tmp_path, clock, replace(plan, trusted_sources=("bank",)))
    hub.tick()
    counts: Counter[str] = Counter()
    for cell in hub.store.outcome_cells("m", 0, NOON):
        counts[cell.actual] += cell.rows
    assert counts == {"no": 600, "yes": 300}
    hub.close()


def test_silence_is_heard_by_the_models_own_time(tmp_path: Path, clock: ManualClock) -> None:
    plan = ModelPlan(MODEL, Layout.bare(MODEL), assumption=Assumption("legit", DAY_NS, ("fraud",)))
    hub = hub_of(tmp_path, clock, plan)
    rows = (kept("silent", NOON_NS, MODEL, "legit"), kept("blocked", NOON_NS, MODEL, "fraud"))
    later = NOON + 1_441
    for seq, (minute, given) in enumerate(((NOON, rows), (later, ())), start=1):
        clock.now_ns = minute * MINUTE_NS
        hub.flush(Flush("r", seq, (traffic(minute),), RedactedRows(KeptRows.of(given)), {}, {MODEL: minute}, 0))
        for _ in range(3):
            hub.tick()
        cells = [(cell.age, cell.actual, cell.rows) for cell in hub.store.outcome_cells(MODEL, 0, NOON)]
        assert cells == ([] if minute == NOON else [(1, "legit", 1)])
    hub.close()
