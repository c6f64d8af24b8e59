"""Baselines given to a running hub: taken in, approved, counted by from their minute on, and read back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hub_parts import LAYOUT, Watched, baseline, batch, panes, plan, traffic

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.hub.label_privacy import default_privacy
from mlmon_sidecar.records import MINUTE_NS, BaselineOrder, BaselineState
from mlmon_sidecar.statistics.layout import Layout, NumericFeature
from mlmon_sidecar.statistics.reference import Reference


def other_baseline(name: str = "m", policy: str | None = None) -> Baseline:
    """Of ``x`` alone, about values that are a hundred higher than those of ``baseline``."""
    known = LAYOUT.feature("x")
    assert isinstance(known, NumericFeature)
    x = replace(known, edges=(99.0, 100.0, 101.0), alarm=(0, 1, 2), minimum=90.0, maximum=110.0)
    layout = Layout(name, (x,), LAYOUT.prediction)
    rows = replace(batch([0] * 4_000, seed=3), features={"x": [99.5, 100.5] * 2_000})
    reference = Reference(layout.hash, "v1", panes(rows, layout=layout)[0].vector, hours=800, tau={"*": 0.0})
    return Baseline(layout, reference, policy=default_privacy().policy if policy is None else policy, rows=4_000)


def offer(made: Baseline, origin: str = "pushed") -> BaselineOrder:
    return BaselineOrder("offer", document=json.dumps(made.to_document()), origin=origin)


def minute_now(watched: Watched) -> int:
    return watched.clock.unix_ns() // MINUTE_NS


def test_offered_then_approved_then_counted_by_from_its_minute_on(tmp_path: Path) -> None:
    watched, made = Watched(tmp_path), other_baseline()
    hub, now = watched.hub, minute_now(watched)
    proposed = hub.baseline(offer(made))
    assert (proposed.model, proposed.state, proposed.rows) == ("m", BaselineState.PROPOSED, 4_000)
    assert hub.baseline(offer(made)) == proposed  # the same once more is the same
    assert not hub.baselines.active

    held = hub.baseline(BaselineOrder("approve", "m", proposed.baseline))
    assert held.state is BaselineState.ACTIVE
    assert held.from_minute == now + 2

    new = replace(batch([now + 2] * 30, seed=9), features={"x": [99.5, 100.5] * 15})
    watched.flush(traffic(now), traffic(now + 1), *panes(new, layout=made.layout), through=now + 2)
    hub.tick()
    (evaluator,) = hub.evaluators()
    assert evaluator.plan.layout.hash == made.layout.hash
    assert evaluator.watermark == now + 2
    sealed = {pane.key.minute: pane.key.layout for pane in watched.store.fleet_panes("m", 0, 1 << 40)}
    assert sealed == {now: LAYOUT.hash, now + 1: LAYOUT.hash, now + 2: made.layout.hash}
    assert evaluator.day().vector[made.layout.cells["x"].bins].sum() == 30  # the new minute alone has its cells

    watched.clock.seconds += 3 * 60
    watched.restart()
    (evaluator,) = watched.hub.evaluators()
    assert evaluator.plan.layout.hash == made.layout.hash


def test_incidents_against_the_former_baseline_end_with_it(tmp_path: Path) -> None:
    watched, made = Watched(tmp_path), other_baseline()
    now = minute_now(watched)
    for minute in range(now - 120, now):
        watched.flush(traffic(minute, 60, x=[100.0] * 60), through=minute)
    watched.hub.tick()
    (drift,) = [each for each in watched.store.incidents("m", only_open=True) if each.rule == "feature_drift"]
    held = watched.hub.baseline(offer(made))
    watched.hub.baseline(BaselineOrder("approve", "m", held.baseline))
    watched.clock.seconds += 5 * 60
    watched.flush(traffic(now + 1), traffic(now + 3), through=now + 4)
    watched.hub.tick()
    assert not watched.store.incidents("m", only_open=True)
    assert (drift.key, "resolved") in watched.told.moves()


def test_another_baseline_in_the_configuration_ends_an_approval(tmp_path: Path) -> None:
    watched, made = Watched(tmp_path), other_baseline()
    held = watched.hub.baseline(offer(made))
    watched.hub.baseline(BaselineOrder("approve", "m", held.baseline))
    watched.clock.seconds += 3 * 60
    watched.hub.close()
    rebuilt = [plan(baseline=replace(baseline(), source="rebuilt.csv"))]
    elsewhere = Watched(tmp_path, rebuilt)
    (evaluator,) = elsewhere.hub.evaluators()
    assert evaluator.plan.layout.hash == LAYOUT.hash
    assert not elsewhere.hub.baselines.active


def test_the_next_one_replaces_it_and_a_decided_one_is_not_rejected(tmp_path: Path) -> None:
    watched, made = Watched(tmp_path), other_baseline()
    first, second = (watched.hub.baseline(offer(each)) for each in (made, replace(made, source="later.csv")))
    assert watched.hub.baseline(BaselineOrder("reject", "m", second.baseline)).state is BaselineState.REJECTED
    for each in (first, second):
        watched.hub.baseline(BaselineOrder("approve", "m", each.baseline))
    states = {held.baseline: held.state for held in watched.hub.baselines.listed("m")}
    assert states == {first.baseline: BaselineState.REPLACED, second.baseline: BaselineState.ACTIVE}
    with pytest.raises(BaselineError, match="not proposed"):
        watched.hub.baseline(BaselineOrder("reject", "m", second.baseline))


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (offer(other_baseline("unknown")), "baseline_model"),
        (offer(other_baseline(policy="another")), "policy_mismatch"),
        (offer(other_baseline(), origin="found"), "bad_order"),
        (BaselineOrder("offer", document="{", origin="pushed"), "baseline_invalid"),
        (BaselineOrder("offer", document="[]", origin="pushed"), "baseline_invalid"),
        (BaselineOrder("offer", document="{}", origin="pushed"), "baseline_format"),
        (BaselineOrder("approve", "m", "0" * 16), "unknown_baseline"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, order: BaselineOrder, code: str) -> None:
    watched = Watched(tmp_path)
    with pytest.raises(BaselineError) as refused:
        watched.hub.baseline(order)
    assert refused.value.code == code
    assert watched.hub.baselines.listed() == []


def test_an_unknown_order_is_refused(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    held = watched.hub.baseline(offer(other_baseline()))
    with pytest.raises(BaselineError) as refused:
        watched.hub.baseline(BaselineOrder("frame", "m", held.baseline))
    assert refused.value.code == "bad_order"


def test_what_recorders_ask(tmp_path: Path) -> None:
    watched, made = Watched(tmp_path), other_baseline()
    assert json.loads(watched.hub.query("baselines", {})) == {"baselines": [], "active": {}}
    held = watched.hub.baseline(offer(made))
    active = watched.hub.baseline(BaselineOrder("approve", "m", held.baseline))
    told = json.loads(watched.hub.query("baselines", {"model": "m"}))
    assert told["active"] == {"m": [held.baseline, active.from_minute]}
    assert told["baselines"][0]["state"] == "active"
    document = json.loads(watched.hub.query("baseline", {"model": "m", "baseline": held.baseline}))["document"]
    assert Baseline.from_document(json.loads(document)).layout.hash == made.layout.hash
