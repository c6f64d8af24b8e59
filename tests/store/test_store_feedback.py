"""What labels are answered under their model's rules, repeated requests, sources that change, and silence."""

from collections import Counter
from pathlib import Path

import apsw
import pytest
from store_parts import DAY_NS, flush, row

from mlmon_sidecar.errors import FeedbackError
from mlmon_sidecar.records import Assumption, KeptRow, Label, LabelStatus
from mlmon_sidecar.store import Store, label_rules, open_store
from mlmon_sidecar.store.label_rules import LabelRule

NOW = 100 * DAY_NS
RULES = {
    "m": LabelRule(
        60 * DAY_NS, "binary", frozenset({"yes", "no"}), frozenset({"chargebacks"}), {"yes": 0.1, "no": 0.9}
    ),
    "r": LabelRule(60 * DAY_NS, "regression"),
}
UNSEEN = "the label is none of the model's classes: its baseline has no, yes"
LATE = "observed_at lies more than 60 days after the prediction (outcomes.horizon)"


def predict(store: Store, *rows: KeptRow) -> None:
    store.commit_flush(flush(1, rows=rows, recorder=str(len(store.recorders()))), 0)


def say(store: Store, *labels: Label, now: int = NOW, key: str = "") -> list[tuple[str, str]]:
    return [(receipt.status.value, receipt.reason) for receipt in store.commit_labels(labels, now, RULES, key)]


def states(store: Store) -> dict[str, int]:
    return dict(store._rows("SELECT state, count(*) FROM labels GROUP BY state"))  # type: ignore[attr-defined]


def join(store: Store) -> dict[str, int]:
    store.join_labels(10_000)
    counts: Counter[str] = Counter()
    for cell in store.outcome_cells("m", 0, 200):
        counts[cell.actual] += cell.rows
    return +counts


@pytest.mark.parametrize(
    ("label", "status", "reason"),
    [
        (Label("p", "maybe", NOW), "invalid", UNSEEN),
        (Label("n", "high", NOW), "invalid", label_rules.NOT_A_NUMBER),
        (Label("n", "nan", NOW), "invalid", label_rules.NOT_A_NUMBER),
        (Label("n", "1e3", NOW), "accepted", ""),
        (Label("p", "yes", 90 * DAY_NS - label_rules.MAX_BEFORE_NS - 1), "invalid", label_rules.BEFORE),
        (Label("p", "yes", 90 * DAY_NS - label_rules.MAX_BEFORE_NS), "accepted", ""),
        (Label("p", "yes", NOW + label_rules.MAX_AHEAD_NS + 1), "invalid", label_rules.AHEAD),
        (Label("p", "yes", NOW + label_rules.MAX_AHEAD_NS), "accepted", ""),
        (Label("old", "yes", NOW), "expired", LATE),
        (Label("old", "yes", 90 * DAY_NS), "accepted", ""),
        (Label("unknown", "yes", NOW + DAY_NS), "invalid", label_rules.AHEAD),
        (Label("unknown", "maybe", NOW, "m"), "invalid", UNSEEN),
        (Label("unknown", "maybe", NOW), "pending", label_rules.NOT_HERE),
        (Label("request", "yes", NOW), "ambiguous", label_rules.BATCH),
        (Label("tx-9", "yes", NOW), "ambiguous", label_rules.BATCH),
        (Label("tx-9/1", "yes", NOW), "accepted", ""),
    ],
)
def test_each_label_is_judged_by_itself_and_the_good_ones_are_kept(
    store: Store, label: Label, status: str, reason: str
) -> None:
    predict(
        store, row("p", event_ns=90 * DAY_NS), row("n", event_ns=90 * DAY_NS, model="r"),
        row("old", event_ns=30 * DAY_NS), row("request/0", event_ns=DAY_NS),
        row("request/1", event_ns=90 * DAY_NS, alias="tx-9/1"), row("good", event_ns=90 * DAY_NS),
    )  # fmt: skip
    good = Label("good", "no", NOW)
    assert say(store, label, good) == [(status, reason), ("accepted", "")]
    assert join(store)["no"] == 1
    kept = sum(states(store).values()) - 1
    assert kept == (status in {"accepted", "pending"})


def test_another_weight_is_a_correction_and_the_same_a_duplicate(store: Store) -> None:
    predict(store, row("p", event_ns=90 * DAY_NS))
    said = [say(store, Label("p", "yes", NOW, weight=weight))[0][0] for weight in (1.0, 1.0, 2.5, 2.5)]
    assert said == ["accepted", "duplicate", "corrected", "duplicate"]


# ---------------------------------------------------------------- repeated requests


def test_a_repeated_request_gets_its_first_answer_and_undoes_no_correction(store: Store) -> None:
    predict(store, row("p", event_ns=90 * DAY_NS))
    first = Label("p", "yes", NOW), Label("q", "maybe", NOW, "m")
    answer = say(store, *first, key="a" * 32 + "b" * 32)
    assert answer == [("accepted", ""), ("invalid", UNSEEN)]
    assert say(store, Label("p", "no", NOW)) == [("corrected", "")]
    assert say(store, *first, key="a" * 32 + "b" * 32) == answer
    assert join(store) == {"no": 1}
    with pytest.raises(FeedbackError, match="key_reused"):
        say(store, *first, key="a" * 32 + "c" * 32)
    assert say(store, first[0], key="d" * 64) == [("corrected", "")]  # another key is another request


def test_keys_are_forgotten_after_two_days(store: Store) -> None:
    say(store, Label("p", "yes", 0), key="a" * 64)
    say(store, Label("p", "yes", 0), key="b" * 64, now=NOW + 2 * DAY_NS + 1)
    assert say(store, Label("p", "yes", 0), key="a" * 32 + "c" * 32, now=NOW + 2 * DAY_NS + 2) == [("duplicate", "")]


# ---------------------------------------------------------------- sources


def flood(store: Store, day: int, source: str, **counts: int) -> list[str]:
    """``counts`` labels by class, each of a prediction of its own; the statuses by class in turn."""
    said = [label for label, count in counts.items() for _ in range(count)]
    names = [f"{source}-{day}-{number}" for number in range(len(said))]
    predict(store, *(row(name, event_ns=day * DAY_NS) for name in names))
    labels = [Label(name, label, day * DAY_NS, "", source) for name, label in zip(names, said, strict=True)]
    return [status for status, _ in say(store, *labels, now=day * DAY_NS)]


def test_a_source_that_floods_one_class_is_quarantined_and_the_others_are_not(store: Store) -> None:
    assert set(flood(store, 10, "bank", no=540, yes=60)) == {"accepted"}
    statuses = flood(store, 11, "bank", no=100, yes=300)
    assert statuses == ["accepted"] * 100 + ["quarantined"] * 300
    assert set(flood(store, 11, "shop", no=90, yes=10)) == {"accepted"}
    assert join(store) == {"no": 730, "yes": 70}
    assert store.label_counts("m")["quarantined"] == 300
    assert set(flood(store, 12, "bank", no=270, yes=30)) == {"accepted"}  # what is held is no habit


def test_a_new_source_is_compared_with_the_others_and_a_first_one_with_nothing(store: Store) -> None:
    assert set(flood(store, 10, "bank", no=540, yes=60)) == {"accepted"}
    assert set(flood(store, 10, "thief", yes=199)) == {"accepted"}  # too few to be strange
    assert set(flood(store, 11, "thief", yes=250)) == {"quarantined"}


def test_a_flood_that_comes_first_does_not_have_the_honest_held(store: Store) -> None:
    """Where nobody has a past, what the baseline's labels say tells who is strange; the flood is, once others spoke."""
    assert set(flood(store, 10, "thief", yes=2000)) == {"accepted"}  # nothing is known yet
    assert set(flood(store, 10, "bank", no=540, yes=60)) == {"accepted"}
    more = [Label(f"later-{number}", "yes", 10 * DAY_NS, "m", "thief") for number in range(50)]
    assert {status for status, _ in say(store, *more, now=10 * DAY_NS)} == {"quarantined"}
    assert set(flood(store, 11, "bank", no=270, yes=30)) == {"accepted"}


def test_a_flood_beside_the_honest_of_the_same_day_is_held(store: Store) -> None:
    assert set(flood(store, 10, "bank", no=540, yes=60)) == {"accepted"}
    assert set(flood(store, 10, "thief", yes=300)) == {"quarantined"}


def test_a_days_flood_does_not_change_what_was_usual_before(store: Store) -> None:
    flood(store, 10, "bank", no=540, yes=60)
    for number in range(10):  # each too small to be strange
        flood(store, 11, f"thief-{number}", yes=199)
    assert set(flood(store, 11, "shop", no=270, yes=30)) == {"accepted"}
    assert set(flood(store, 11, "thief", yes=250)) == {"quarantined"}


def test_what_was_usual_more_than_a_month_ago_is_forgotten(store: Store) -> None:
    flood(store, 10, "bank", no=540, yes=60)
    assert set(flood(store, 41, "bank", yes=250)) == {"accepted"}
    assert set(flood(store, 10, "shop", no=540, yes=60)) == {"accepted"}
    assert set(flood(store, 40, "shop", yes=250)) == {"quarantined"}


def test_a_shift_within_bounds_is_no_flood(store: Store) -> None:
    flood(store, 10, "bank", no=540, yes=60)
    assert set(flood(store, 11, "bank", no=210, yes=190)) == {"accepted"}  # 0.475 - 0.1 is below 0.4


def test_a_trusted_source_is_never_held_and_trust_given_later_releases(store: Store) -> None:
    flood(store, 10, "bank", no=540, yes=60)
    assert set(flood(store, 10, "chargebacks", yes=300)) == {"accepted"}
    flood(store, 11, "bank", yes=300)
    assert states(store)["quarantined"] == 300
    assert store.release_labels("other", ["bank"]) == 0
    assert store.release_labels("m", ["bank"]) == 300
    assert join(store) == {"no": 540, "yes": 660}
    assert store.release_labels("m", ["bank"]) == 0


def test_inventing_sources_costs_no_memory(store: Store) -> None:
    predict(store, *(row(f"p{number}", event_ns=DAY_NS) for number in range(150)))
    say(store, *(Label(f"p{number}", "yes", DAY_NS, "", f"s{number}") for number in range(150)))
    found = dict(store._rows("SELECT source, taken FROM label_sources"))  # type: ignore[attr-defined]
    assert len(found) == label_rules.SOURCES_WATCHED + 1
    assert found[label_rules.OTHER_SOURCES] == 50


# ---------------------------------------------------------------- silence


def test_silence_becomes_a_label_once_and_a_real_one_corrects_it(store: Store) -> None:
    predict(
        store, row("silent", event_ns=10 * DAY_NS), row("said", event_ns=10 * DAY_NS + 1),
        row("blocked", event_ns=10 * DAY_NS + 2, predicted="no"), row("young", event_ns=50 * DAY_NS),
        row("other", event_ns=10 * DAY_NS, model="n"),
    )  # fmt: skip
    say(store, Label("said", "yes", 11 * DAY_NS))
    assumption = Assumption("no", 30 * DAY_NS, ("no",))
    assert store.assume_labels("m", assumption, 39 * DAY_NS, NOW, 100) == (0, False)
    assert store.assume_labels("m", assumption, 41 * DAY_NS, NOW, 2) == (1, True)
    assert store.assume_labels("m", assumption, 41 * DAY_NS, NOW, 2) == (0, True)  # blocked: censored
    assert store.assume_labels("m", assumption, 41 * DAY_NS, NOW, 2) == (0, False)
    store.join_labels(100)
    cells = {(cell.age, cell.predicted, cell.actual): cell.rows for cell in store.outcome_cells("m", 0, 200)}
    assert cells == {(30, "yes", "no"): 1, (0, "yes", "yes"): 1}
    assert say(store, Label("silent", "yes", 42 * DAY_NS)) == [("corrected", "")]
    assert join(store) == {"yes": 2}


def test_many_predictions_of_one_moment_are_all_heard(store: Store) -> None:
    predict(store, *(row(f"p{number}", event_ns=DAY_NS) for number in range(25)))
    assert store.assume_labels("m", Assumption("no", DAY_NS), 3 * DAY_NS, NOW, 10)[0] == 25


# ---------------------------------------------------------------- waiting


def test_labels_nobody_predicted_for_are_counted_when_they_are_given_up(store: Store) -> None:
    say(store, Label("a", "yes", NOW, "m"), Label("b", "yes", NOW, "m"), Label("c", "yes", NOW))
    assert store.forget_pending(NOW, 10) == 0
    assert store.forget_pending(NOW + 1, 2) == 2
    assert store.forget_pending(NOW + 1, 2) == 1
    assert (store.label_counts("m"), store.label_counts("")) == ({"unmatched": 2}, {"unmatched": 1})


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    script = Path(label_rules.__file__).parent / "schema" / "sqlite.sql"
    with apsw.Connection(str(path)) as db:
        db.execute(script.read_text()).fetchall()
        db.execute("INSERT INTO meta VALUES ('epoch', '3')")
        db.execute("INSERT INTO labels VALUES (1, 'p', '', NULL, 'yes', 5, 5, 's', 'pending')")
        db.execute("PRAGMA user_version = 1").fetchall()
    store = open_store(f"sqlite:///{path}")
    store.take_over()
    assert say(store, Label("p", "yes", 5)) == [(LabelStatus.DUPLICATE, "")]
    store.close()
