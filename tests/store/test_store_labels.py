"""Labels: what each is answered, and that the signed counts are those of the labels in force."""

from collections import Counter
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_parts import DAY_NS, flush, label, row

from mlmon_sidecar.records import KeptRow, Label, LabelledCompletion, LabelStatus
from mlmon_sidecar.store import Store, open_store

ACCEPTED, DUPLICATE, CORRECTED, PENDING, AMBIGUOUS, INVALID = (
    LabelStatus.ACCEPTED, LabelStatus.DUPLICATE, LabelStatus.CORRECTED, LabelStatus.PENDING, LabelStatus.AMBIGUOUS,
    LabelStatus.INVALID,
)  # fmt: skip
RECEIVED_NS = 100 * DAY_NS
Cell = tuple[str, int, int, str, str]  # version, day, age, predicted, actual


def predict(store: Store, *rows: KeptRow) -> None:
    """From a recorder of its own."""
    store.commit_flush(flush(1, rows=rows, recorder=str(len(store.recorders()))), 0)


def say(store: Store, *labels: Label) -> list[LabelStatus]:
    receipts = store.commit_labels(labels, RECEIVED_NS)
    assert [receipt.id for receipt in receipts] == [item.id for item in labels]
    return [receipt.status for receipt in receipts]


def counted(store: Store, model: str = "m") -> dict[Cell, int]:
    return {tuple(cell[:-1]): cell.rows for cell in store.outcome_cells(model, -100, 100)}  # type: ignore[misc]  # five of them


def settle(store: Store, limit: int = 1_000) -> int:
    """Until nothing more can be joined: pending labels are looked at in turn."""
    taken, idle = 0, 0
    while idle < 3 + 40 // limit:
        joined = store.join_labels(limit)
        taken, idle = taken + joined, 0 if joined else idle + 1
    return taken


def test_a_label_is_accepted_once_and_counted_in_its_cell(store: Store) -> None:
    predict(store, row("p", event_ns=3 * DAY_NS + 5, version="v2", predicted="no"))
    assert say(store, label("p", "yes", 5 * DAY_NS + 4)) == [ACCEPTED]
    assert say(store, label("p", "yes", 6 * DAY_NS)) == [DUPLICATE]
    assert counted(store) == {}  # not before the hub joins it
    assert store.join_labels(10) == 1
    assert store.join_labels(10) == 0
    assert counted(store) == {("v2", 3, 1, "no", "yes"): 1}
    assert say(store, label("p", "yes", 7 * DAY_NS)) == [DUPLICATE]
    assert store.label_counts("m") == {"matched": 1}
    assert store.outcome_cells("m", 4, 9) == store.outcome_cells("other", 0, 9) == []


def test_a_later_label_takes_the_earlier_one_out_of_its_cell(store: Store) -> None:
    predict(store, row("p", predicted="yes"))
    say(store, label("p", "yes", 1))
    settle(store)
    assert say(store, label("p", "no", DAY_NS)) == [CORRECTED]
    settle(store)
    assert counted(store) == {("v1", 0, 1, "yes", "no"): 1}
    assert say(store, label("p", "no", DAY_NS), label("p", "yes", 2), label("p", "yes", 3)) == [
        DUPLICATE, CORRECTED, DUPLICATE
    ]  # fmt: skip
    settle(store)
    assert counted(store) == {("v1", 0, 0, "yes", "yes"): 1}
    assert store.label_counts("m") == {"matched": 1, "corrected": 2}


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_chain_of_corrections_before_any_join_counts_the_last(store: Store, limit: int) -> None:
    predict(store, row("p"), row("q"))
    statuses = say(store, *(label(i, s) for s in ("a", "b", "a", "c") for i in ("p", "q")))
    assert statuses == [ACCEPTED] * 2 + [CORRECTED] * 6
    assert settle(store, limit) == 8
    assert counted(store) == {("v1", 0, 0, "yes", "c"): 2}


def test_an_alias_means_the_latest_prediction_before_the_label_was_observed(store: Store) -> None:
    predict(store, row("p1", event_ns=10, alias="a", predicted="1"), row("p3", event_ns=30, alias="a", predicted="3"))
    predict(store, row("p2", event_ns=20, alias="a", predicted="2"))
    assert say(store, label("a", "x", 9), label("a", "x", 10), label("a", "x", 29), label("a", "x", 31)) == [
        PENDING, ACCEPTED, ACCEPTED, ACCEPTED
    ]  # fmt: skip
    settle(store)
    assert counted(store) == {("v1", 0, 0, p, "x"): 1 for p in "123"}
    assert say(store, label("p1", "x", 0)) == [DUPLICATE]  # by its id it is the same one, whenever observed


def test_one_alias_in_two_models_is_told_apart_by_the_model(store: Store) -> None:
    predict(store, row("p", event_ns=1, alias="a", model="m"), row("q", event_ns=2, alias="a", model="n"))
    assert say(store, label("a", "x", 9, model="m"), label("a", "y", 9, model="n")) == [ACCEPTED, ACCEPTED]
    assert say(store, label("a", "y", 9)) == [AMBIGUOUS]
    assert say(store, label("p", "x", 9, model="n")) == [PENDING]  # no such prediction in that model
    settle(store)
    assert counted(store, "m") == {("v1", 0, 0, "yes", "x"): 1}
    assert counted(store, "n") == {("v1", 0, 0, "yes", "y"): 1}


def test_an_id_goes_before_an_alias_of_the_same_text(store: Store) -> None:
    predict(store, row("x", predicted="by id"), row("y", event_ns=5, alias="x", predicted="by alias"))
    say(store, label("x", "1", 9))
    settle(store)
    assert counted(store) == {("v1", 0, 0, "by id", "1"): 1}


def test_pending_labels_join_when_their_prediction_comes(store: Store) -> None:
    assert say(store, label("a", "x", 50), label("a", "x", 50), label("late", "y", 1)) == [PENDING, DUPLICATE, PENDING]
    assert say(store, label("a", "x", 50)) == [DUPLICATE]
    assert settle(store) == 0
    predict(store, row("p", event_ns=40, alias="a"))
    assert settle(store) == 1
    assert counted(store) == {("v1", 0, 0, "yes", "x"): 1}
    assert say(store, label("p", "x", 60), label("a", "z", 60)) == [DUPLICATE, CORRECTED]


def test_a_pending_alias_observed_at_another_time_may_mean_another_prediction(store: Store) -> None:
    assert say(store, label("a", "x", 15), label("a", "x", 25)) == [PENDING, PENDING]
    predict(store, row("p1", event_ns=10, alias="a", predicted="1"), row("p2", event_ns=20, alias="a", predicted="2"))
    settle(store)
    assert counted(store) == {("v1", 0, 0, "1", "x"): 1, ("v1", 0, 0, "2", "x"): 1}


def test_a_label_matched_late_does_not_undo_a_later_one(store: Store) -> None:
    """Pending labels are looked at in turn, so an old one may be matched after a newer one was counted."""
    store.commit_labels([label(f"nobody{n}", "x") for n in range(3)], 0)
    store.commit_labels([label("a", "old", 50)], 0)
    predict(store, row("p", event_ns=40, alias="a"))
    say(store, label("p", "new", 60))
    for _ in range(3):  # two at a time: the old one's turn has not come when the new one is counted
        store.join_labels(2)
    settle(store, 2)
    assert counted(store) == {("v1", 0, 0, "yes", "new"): 1}
    assert store.label_counts("m") == {"matched": 1, "corrected": 1}


def test_a_label_before_its_prediction_is_of_age_zero_and_missing_predictions_have_no_class(store: Store) -> None:
    predict(store, row("p", event_ns=5 * DAY_NS, predicted=None))
    assert say(store, label("p", "x", 5 * DAY_NS - 1)) == [ACCEPTED]  # clocks differ a little
    assert say(store, label("p", "y", 4 * DAY_NS)) == [INVALID]
    settle(store)
    assert counted(store) == {("v1", 5, 0, "", "x"): 1}


# ---------------------------------------------------------------- against a plain model


@dataclass
class Said:
    label: Label
    prediction: str | None


@dataclass
class PlainLabels:
    """What the contract says, a list at a time."""

    predictions: dict[str, KeptRow] = field(default_factory=dict)
    labels: list[Said] = field(default_factory=list)

    def find(self, item: Label) -> str | None:
        here = [p for p in self.predictions.values() if item.model in ("", p.model)]
        if any(p.prediction_id == item.id for p in here):
            return item.id
        named = [p for p in here if p.alias == item.id and p.event_ns <= item.observed_ns]
        return max(named, key=lambda p: p.event_ns).prediction_id if named else None

    def say(self, item: Label) -> LabelStatus:
        prediction = self.find(item)
        if prediction is None:
            waiting = [s.label for s in self.labels if s.prediction is None]
            if [w for w in waiting if (w.id, w.model) == (item.id, item.model)][-1:] == [item]:
                return DUPLICATE
            self.labels.append(Said(item, None))
            return PENDING
        named = [p for p in self.predictions.values() if p.alias == item.id and p.event_ns <= item.observed_ns]
        if prediction != item.id and not item.model and len({p.model for p in named}) > 1:
            return AMBIGUOUS
        if item.observed_ns < self.predictions[prediction].event_ns - 300 * 10**9:
            return INVALID
        before = [s for s in self.labels if s.prediction == prediction]
        if before and before[-1].label.label == item.label:
            return DUPLICATE
        self.labels.append(Said(item, prediction))
        return CORRECTED if before else ACCEPTED

    def join(self) -> None:
        for said in self.labels:
            said.prediction = said.prediction or self.find(said.label)

    def cells(self, model: str) -> dict[Cell, int]:
        in_force = {s.prediction: s.label for s in self.labels if s.prediction is not None}
        cells: Counter[Cell] = Counter()
        for prediction_id, item in in_force.items():
            p = self.predictions[prediction_id]
            if p.model == model:
                age = max(0, (item.observed_ns - p.event_ns) // DAY_NS)
                cells[p.version, p.event_ns // DAY_NS, age, p.predicted or "", item.label] += 1
        return dict(cells)


NAMES = st.sampled_from(["a", "b", "c"])
MODELS = st.sampled_from(["m", "n"])
TIMES = st.integers(0, 12).map(lambda quarter: quarter * DAY_NS // 4)
PREDICT = st.lists(
    st.tuples(NAMES, TIMES, MODELS, st.sampled_from(["v1", "v2"]), st.sampled_from(["yes", "no", None])),
    min_size=1,
    max_size=3,
)
SAY = st.lists(
    st.tuples(st.one_of(NAMES, st.integers(0, 6).map(str)), st.sampled_from(["yes", "no"]), TIMES,
              st.sampled_from(["", "m", "n"])),
    min_size=1, max_size=3,
)  # fmt: skip
JOIN = st.sampled_from([2, 5, 1_000])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("predict"), PREDICT), st.tuples(st.just("say"), SAY), st.tuples(st.just("join"), JOIN)
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_sequence_agrees_with_a_plain_model(steps: list[tuple[str, object]]) -> None:
    """Receipts are equal one by one, and after the last join the counts are. Joins settle, with any limit."""
    plain = PlainLabels()
    with TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/mlmon.db")
        store.take_over()
        try:
            for kind, what in [*steps, ("join", 1_000)]:
                if kind == "predict":
                    _predict(store, plain, what)
                elif kind == "say":
                    labels = [label(*item) for item in what]  # type: ignore[attr-defined]  # by the kind
                    assert say(store, *labels) == _said_together(plain, labels)
                else:
                    settle(store, what)  # type: ignore[arg-type]  # by the kind
                    plain.join()
            for model in ("m", "n"):
                assert counted(store, model) == plain.cells(model)
        finally:
            store.close()


def _predict(store: Store, plain: PlainLabels, items: object) -> None:
    rows = [
        row(str(len(plain.predictions) + at), event_ns=when + len(plain.predictions) + at, model=model,
            version=version, alias=alias, predicted=predicted)
        for at, (alias, when, model, version, predicted) in enumerate(items)  # type: ignore[arg-type]  # by the kind
    ]  # fmt: skip
    predict(store, *rows)
    plain.predictions.update({item.prediction_id: item for item in rows})


def _said_together(plain: PlainLabels, labels: list[Label]) -> list[LabelStatus]:
    return [plain.say(item) for item in labels]


def test_labels_of_completions_are_told_once_after_they_count(store: Store) -> None:
    trace, span = "0" * 31 + "7", "0" * 15 + "9"
    predict(
        store,
        row("p", alias="chatcmpl-1")._replace(trace_id=trace, span_id=span),
        row("q", alias="resp_2"),
        row("r", alias="tx-17"),
        row("s"),
        row("t", predicted="yes")._replace(trace_id=trace, span_id=span),
    )
    told: list[LabelledCompletion] = []
    say(store, label("chatcmpl-1", "good", 5), label("q", "0.25", 6), label("tx-17", "no", 7), label("s", "no", 8))
    say(store, label("t", "no", 9))
    assert store.join_labels(10, told.extend) == 5
    predicted = {"p": row("p").predicted, "q": row("q").predicted}
    assert sorted(told, key=lambda each: each.prediction_id) == [
        LabelledCompletion("m", "v1", "chatcmpl-1", "good", "test", 5, trace, span, "p", predicted["p"]),
        LabelledCompletion("m", "v1", "resp_2", "0.25", "test", 6, "", "", "q", predicted["q"]),
        LabelledCompletion("m", "v1", "", "no", "test", 9, trace, span, "t", "yes"),
    ]
    store.join_labels(10, told.extend)
    assert len(told) == 3
    say(store, label("p", "bad", 9))
    store.join_labels(10, told.extend)
    assert [(each.label, each.observed_ns) for each in told[3:]] == [("bad", 9)]
