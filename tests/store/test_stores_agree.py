"""The same calls, drawn at random, on the file and on the database: the same answers, and the same to read after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_parts import DAY_NS, flush, incident, label, pane

from mlmon_sidecar.records import Assumption, KeptRow, LabelScores, Part
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import Keep
from mlmon_sidecar.store.label_rules import LabelRule

CALLS = 120
MODELS = ("classes", "numbers")
PARTS = (Part("version", "w"), Part("segment", "north"))
SOURCES = ("bank", "desk", "flood")
RULES = {"classes": LabelRule(6 * DAY_NS, "binary", frozenset({"yes", "no"}), frozenset({"bank"}))}
WORDS = (
    "yes", "no", "12.5", "1e140", "1E+2", "-0", "-3", "",
    "é'\"\\", "0012", "nan", "+5", ".5", "5.", "0x10", "1e", " 7 ",
    "[1]", "true", '"1"', "1 2", "1_0", "１２", "\t8\n",
)  # fmt: skip


@pytest.fixture
def both(tmp_path: Path, postgres: str) -> Iterator[tuple[Store, Store]]:
    with closing(open_store(f"sqlite:///{tmp_path / 'mlmon.db'}")) as one, closing(open_store(postgres)) as other:
        for store in (one, other):
            store.take_over()
        yield one, other


class Draw:
    """Calls by name and arguments."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._seq = 0
        self._made = 0

    def call(self) -> tuple[str, tuple[Any, ...]]:
        kinds = ("flush", "flush", "labels", "labels", "labels", "join", "join", "assume", "erase", "forget", "release")
        made: tuple[str, tuple[Any, ...]] = getattr(self, f"_{self._chance.choice(kinds)}")()
        return made

    def _name(self) -> str:
        """Of a prediction made, of one to come, of a row of a batch, or an alias that several have."""
        n = self._chance.randint(0, self._made + 5)
        return self._chance.choice((f"p{n}", f"a{n % 40}", f"p{n}/1", f"a{n % 40}/1"))

    def _flush(self) -> tuple[str, tuple[Any, ...]]:
        rows = []
        for _ in range(self._chance.randint(1, 12)):
            number = self._chance.random() < 0.4
            n = self._made = self._made + 1
            rows.append(
                KeptRow(
                    self._chance.choice((f"p{n}", f"p{n}/1", f"p{max(0, n - 3)}")), MODELS[number],
                    self._chance.choice("vw"), self._chance.choice(("", "north")), self._time(),
                    self._chance.uniform(-20, 20) if number else round(self._chance.random(), 3),
                    None if number else self._chance.choice(("yes", "no")), None,
                    self._chance.choice((None, f"a{n % 40}", f"a{n % 40}/1")), "", "", "{}",
                )
            )  # fmt: skip
        self._seq += self._chance.choice((0, 1, 1, 1, 2))
        panes = [pane(self._chance.randint(0, 300), self._seq, model=self._chance.choice(MODELS))]
        counters = {"rows.kept": len(rows), "rows.dropped.buffer_full": self._chance.randint(0, 1)}
        minted = list({row.prediction_id: row for row in rows}.values())  # a recorder mints an id once
        return "commit_flush", (flush(max(1, self._seq), panes, minted, counters), self._time())

    def _labels(self) -> tuple[str, tuple[Any, ...]]:
        labels = []
        for _ in range(self._chance.randint(1, 15)):
            said = self._chance.choice(WORDS if self._chance.random() < 0.5 else ("yes", "no", "3.25"))
            model = self._chance.choice(("", "", *MODELS))
            weight = self._chance.choice((1.0, 1.0, 2.5, 0.125))
            item = label(self._name(), said, self._time() + DAY_NS, model)
            labels.append(item._replace(weight=weight, source=self._chance.choice(SOURCES)))
        key = f"{self._chance.getrandbits(256):064x}" if self._chance.random() < 0.2 else ""
        place = ("bank", str(self._seq)) if self._chance.random() < 0.2 else None
        return "commit_labels", (labels, 7 * DAY_NS, RULES, key, place)

    def _join(self) -> tuple[str, tuple[Any, ...]]:
        return "join_labels", (self._chance.randint(1, 30),)

    def _assume(self) -> tuple[str, tuple[Any, ...]]:
        silence = Assumption("no", DAY_NS, ("yes",) if self._chance.random() < 0.5 else ())
        return "assume_labels", ("classes", silence, self._time() + DAY_NS // 2, 7 * DAY_NS, self._chance.randint(1, 9))

    def _release(self) -> tuple[str, tuple[Any, ...]]:
        return "release_labels", ("classes", [self._chance.choice(SOURCES)])

    def _erase(self) -> tuple[str, tuple[Any, ...]]:
        return "erase", ([self._name()], [self._name()])

    def _forget(self) -> tuple[str, tuple[Any, ...]]:
        if self._chance.random() < 0.5:
            return "forget_predictions", (self._chance.choice(MODELS), self._time() // 4, self._chance.randint(1, 5))
        return "forget_pending", (self._chance.choice((0, 8)) * DAY_NS, 3)

    def _time(self) -> int:
        return self._chance.randint(0, 5 * DAY_NS)


def nearly(scores: LabelScores) -> tuple[object, ...]:
    """Halves of a loss's unit of 2**-20 are rounded to even by the one, away from 0 by the other."""
    return scores.cells, scores.rows, pytest.approx(scores.log_loss, abs=50), pytest.approx(scores.squared, abs=50)


def everything(store: Store) -> dict[str, Any]:
    """All that can be read, in an order of its own."""
    days = (0, 20)
    found: dict[str, Any] = {
        "rows": store.stored_rows(),
        "counters": store.counters(),
        "losses": store.losses(*days),
        "recorders": sorted(store.recorders()),
        "place": store.place("bank"),
        "open": store.open_models(),
    }
    for model in (*MODELS, ""):
        found[model] = {
            "counts": store.label_counts(model),
            "versions": store.versions(model),
            "per day": store.predictions_per_day(model, *days),
            "cells": store.outcome_cells(model, *days),
            "slices": store.label_slices(model, *days),
            "unjudged": store.unjudged_cells(model, 20),
            "scores": nearly(store.label_scores(model, "yes", *days)),
            "answers": nearly(store.answer_scores(model, *days)),
            "errors": store.label_errors(model, *days),
            "parts": [
                (
                    nearly(store.label_scores(model, "yes", *days, part)),
                    nearly(store.answer_scores(model, *days, part)),
                    store.label_errors(model, *days, part),
                )
                for part in PARTS
            ],
            "weights": store.weighted_cells(model, *days),
            "weighted scores": nearly(store.weighted_scores(model, "yes", *days)),
            "weighted errors": store.weighted_errors(model, *days),
            "segments": store.segment_cells(model, *days),
            "sample": store.sample(model, 0, 1_000),
            "panes": [(item.pane.key, item.pane.vector.tolist()) for item in store.open_panes(model, 300, 300)],
        }
    return found


@pytest.mark.parametrize("seed", range(4))
def test_calls_in_any_order_end_in_the_same_figures(both: tuple[Store, Store], seed: int) -> None:
    draw = Draw(seed)
    for step in range(CALLS):
        name, arguments = draw.call()
        answers = [getattr(store, name)(*arguments) for store in both]
        assert answers[0] == answers[1], (step, name, arguments)
        if step % 20 == 19:
            one, other = map(everything, both)
            for part, figures in one.items():
                assert other[part] == figures, (step, part)
    counts = both[0].label_counts("classes"), both[0].label_counts("numbers")
    assert all(each["matched"] > 5 and each["corrected"] > 0 for each in counts), counts


def test_incidents_and_what_is_forgotten_of_figures(both: tuple[Store, Store]) -> None:
    for store in both:
        store.write_incidents([(incident(minute, resolved=minute + 5), "opened", minute) for minute in range(20)])
        store.mark_delivered([outbox_id for outbox_id, *_ in store.outbox(0)][:10])
    keep = Keep(minute_curves=15, figures=15, outcome_day=3)
    assert both[0].forget_figures("m", keep, 4) == both[1].forget_figures("m", keep, 4) > 0
    assert both[0].incidents() == both[1].incidents()
    assert [item[1:] for item in both[0].outbox(0)] == [item[1:] for item in both[1].outbox(0)]
