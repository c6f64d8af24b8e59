"""Estimated quality through the hub: harder inputs are told before any label, of two classes and of several; silence
without change, and where labels have belied the estimate."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hub_parts import DAY_MINUTES, START, FakeClock, kept, same
from sklearn.metrics import f1_score

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.hub.estimate import estimate, why_not
from mlmon_sidecar.hub.estimate_watch import EstimateWatch
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Flush, KeptRows, Label, Pane, RedactedRows
from mlmon_sidecar.store import open_store
from mlmon_sidecar.telemetry import Telemetry

CLASSES = ("a", "b", "c", "d")
OPTIONS = {
    "multiclass": DecodeOptions("m", kind="multiclass"),
    "binary": DecodeOptions("m", kind="binary", positive="b", negative="a"),
}


def draw(kind: str, rows: int, seed: int, doubt: float = 1.0) -> dict[str, Any]:
    """Columns of calibrated predictions; larger ``doubt``: harder inputs."""
    rng = np.random.default_rng(seed)
    classes = len(CLASSES) if kind == "multiclass" else 2
    center = rng.integers(0, classes, rows)
    odds = rng.normal(0, 1, (rows, classes)) + 3.0 / doubt * np.eye(classes)[center]
    probability = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    actual = (probability.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
    said = probability.argmax(axis=1)
    columns: dict[str, Any] = {"predicted": [CLASSES[k] for k in said], "label": [CLASSES[k] for k in actual]}
    name = "score" if kind == "binary" else "confidence"
    return {**columns, name: (probability[:, 1] if kind == "binary" else probability.max(axis=1)).tolist()}


@cache
def built(kind: str) -> Baseline:
    columns = draw(kind, 20_000, 1)
    roles = Roles(prediction="predicted", label="label", score="score" if kind == "binary" else "confidence")
    purpose = Purpose("m", kind=kind, positive="b" if kind == "binary" else "")
    made = build_baseline(columns, roles, purpose, redact_category=same, policy="", created="")
    return replace(made, reference=replace(made.reference, tau={"*": 0.01}))


def plan_of(kind: str, **changes: Any) -> ModelPlan:
    return ModelPlan(
        **{
            "name": "m",
            "layout": built(kind).layout,
            "baseline": built(kind),
            "metric": "f1",
            "horizon_days": 20,
            **changes,
        }
    )


def pane(kind: str, minute: int, columns: dict[str, Any]) -> Pane:
    batch = batch_from_columns(
        "m", now_ns=0, options=OPTIONS[kind], features={}, scores=columns.get("score"),
        predictions=columns["predicted"], confidences=columns.get("confidence"),
    )  # fmt: skip
    builder = PaneBuilder(built(kind).layout, same)
    builder.add_batch(replace(batch, version="v1", event_ns=np.full(batch.rows, minute * MINUTE_NS)))
    (made,) = builder.take()
    return made


class Days:
    """A hub that is fed whole days."""

    def __init__(self, folder: Path, kind: str, **changes: Any) -> None:
        self.kind, self.clock = kind, FakeClock()
        store = open_store(f"sqlite:///{folder / 'mlmon.db'}")
        self.hub = Hub(store, [plan_of(kind, **changes)], self.clock, Telemetry())
        self.hub.flush(Flush("r", 1, (), RedactedRows(), {}, {}, 0))
        self.day, self.due = 0, dict[int, list[Label]]()

    def feed(self, days: int, doubt: float = 1.0, *, wrong: float = 0.0, labelled: bool = False) -> None:
        """``wrong``: share of labels that say another class than the scores would."""
        for _ in range(days):
            minute = START + self.day * DAY_MINUTES
            columns = draw(self.kind, 2_000, 100 + self.day, doubt)
            rows = [kept(f"p{self.day}-{n}", minute, said) for n, said in enumerate(columns["predicted"])]
            rng = np.random.default_rng(self.day)
            for n, true in enumerate(columns["label"] if labelled else ()):
                said = columns["predicted"][n]
                flipped = ("b" if said == "a" else "a") if rng.random() < wrong else true
                self.due.setdefault(self.day + 1, []).append(
                    Label(f"p{self.day}-{n}", flipped, (minute + 1440) * MINUTE_NS)
                )
            seq = self.hub.store.recorders()[0].last_seq + 1
            pane_ = pane(self.kind, minute, columns)
            self.hub.flush(Flush("r", seq, (pane_,), RedactedRows(KeptRows.of(rows)), {}, {"m": minute}, 0))
            if self.due.get(self.day):
                self.hub.labels(self.due.pop(self.day))
            for _ in range(3):
                self.hub.tick()
            self.day += 1

    def incidents(self) -> list[Any]:
        return [found for found in self.hub.store.incidents() if found.rule == "estimate_drop"]

    def outcome(self) -> Any:
        self.clock.seconds += 2
        return orjson.loads(self.hub.query("status", {}))["models"][0]["outcome"]


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_harder_inputs_are_told_before_any_label(tmp_path: Path, kind: str) -> None:
    days = Days(tmp_path, kind)
    days.feed(6)
    assert days.incidents() == []
    days.feed(4, doubt=3.0)
    (found,) = days.incidents()
    assert found.tier == 2 and found.summary.startswith("estimated f1 fell from 0.")
    assert found.opened_minute <= START + 8 * DAY_MINUTES, "within two days of the change"
    days.feed(30)
    assert days.incidents()[0].resolved_minute is not None
    days.hub.close()


def test_several_classes_are_estimated_as_scikit_learn_then_finds(tmp_path: Path) -> None:
    days = Days(tmp_path, "multiclass")
    days.feed(1, doubt=1.5)
    view = days.outcome()
    drawn = draw("multiclass", 2_000, 100, 1.5)
    realised = f1_score(drawn["label"], drawn["predicted"], average="macro")
    assert view["metric"] == "f1" and view["estimated"] == pytest.approx(realised, abs=0.03)
    assert view["estimated_low"] < realised < view["estimated_high"]
    assert "is not counted" in why_not(plan_of("multiclass"), "auc")
    days.hub.close()


def test_labels_that_belie_the_estimate_end_and_silence_it(tmp_path: Path) -> None:
    days = Days(tmp_path, "multiclass", metric="accuracy")
    days.feed(12, wrong=0.4, labelled=True)
    assert days.outcome()["estimate_check"]["broken"]
    days.feed(6, doubt=3.0)
    assert days.incidents() == []
    assert [found.rule for found in days.hub.store.incidents() if found.layer == "outcome"].count("quality_drop") == 1
    days.hub.close()


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_without_change_nothing_is_told(kind: str) -> None:
    """60 days of 500 predictions, in 30 orders."""
    plan = plan_of(kind)
    for seed in range(3):
        watch = EstimateWatch(plan, None)
        vectors = [pane(kind, START, draw(kind, 500, 1_000 * seed + day)).vector for day in range(60)]
        rng = np.random.default_rng(seed)
        for _ in range(10):
            for day, at in enumerate(rng.permutation(60)):
                view = watch.take(day, vectors[at], "")
                assert view is not None and not view.step.alarms
        assert EstimateWatch(plan, watch.document).document == watch.document


def test_a_model_whose_confidence_is_not_counted_by_class_has_its_accuracy(tmp_path: Path) -> None:
    known = built("multiclass")
    bare = replace(known, reference=replace(known.reference, class_calibration=()))
    vector = pane("multiclass", START, draw("multiclass", 2_000, 9)).vector
    plan = plan_of("multiclass", baseline=bare, metric="accuracy")
    whole = plan_of("multiclass", metric="accuracy")
    first, second = (estimate(each, vector, "accuracy") for each in (plan, whole))
    assert first is not None and second is not None and first.value == pytest.approx(second.value, abs=0.01)
    view = EstimateWatch(plan, None).take(0, vector, "")
    assert view is not None and view.value == pytest.approx(first.value, abs=1e-9)
    assert "by class" in why_not(plan_of("multiclass", baseline=bare), "f1")
    assert EstimateWatch(plan_of("multiclass", baseline=bare), None).take(0, vector, "") is None


def test_a_baseline_without_the_section_is_read_as_before(tmp_path: Path) -> None:
    known = built("multiclass")
    document = known.to_document()
    assert (
        Baseline.from_document(document).to_document() == document and document["layout"]["prediction"]["joint"] is True
    )
    binary = built("binary").to_document()
    assert "joint" not in binary["layout"]["prediction"] and "class_calibration" not in binary["reference"]
    assert Baseline.from_document(binary).layout.hash == built("binary").layout.hash


def test_confidence_by_class_adds_up_however_rows_are_split() -> None:
    columns = draw("multiclass", 300, 4)
    columns["predicted"][:5] = ["other"] * 5
    whole = pane("multiclass", START, columns).vector
    parts = [slice(0, 1), slice(1, 130), slice(130, 300)]
    split = [
        pane("multiclass", START, {name: column[part] for name, column in columns.items()}).vector for part in parts
    ]
    assert sum(split).tobytes() == whole.tobytes()  # type: ignore[attr-defined]
    cells = built("multiclass").layout.outputs
    joint = whole[cells.confidence_class].reshape(-1, len(CLASSES) + 1)
    assert (joint.sum(axis=1) == whole[cells.confidence]).all()
    assert (joint.sum(axis=0) == whole[cells.classes]).all() and joint[:, -1].sum() == 5
