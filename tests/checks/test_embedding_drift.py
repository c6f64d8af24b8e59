"""Texts of another subject are found; texts of the same are not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.checks.textbook import TEXTBOOK
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import Tier, Window
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.indicator_set import tolerances
from mlmon_sidecar.statistics.indicators import EMBEDDINGS, FEATURES, STREAM_WEIGHT, indicators, stream_weights

ROWS = 200
SUBJECTS = {
    "loan": "loan credit rate bank payment interest month income car house".split(),
    "ticket": "printer server login password error screen network vpn update crash".split(),
}


def notes(rows: int, seed: int, tickets: float = 0.0) -> list[str]:
    rng = np.random.default_rng(seed)
    subjects = ["ticket" if rng.random() < tickets else "loan" for _ in range(rows)]
    return [" ".join(rng.choice(SUBJECTS[subject], rng.integers(5, 15))) for subject in subjects]


@cache
def baseline() -> Baseline:
    return build_baseline(
        {"note": notes(4000, 1)}, Roles(), Purpose("m", text=frozenset({"note"})),
        redact_category=lambda _column, token: token, policy="", created="2026-01-01T00:00:00Z",
    )  # fmt: skip


def contexts(tickets: float, hours: int = 12) -> list[CheckContext]:
    layout, reference = baseline().layout, baseline().reference
    detector = Detector(indicators(layout, reference))
    state, made = detector.initial(), []
    for hour in range(hours):
        columns = {"note": notes(ROWS, 100 + hour, tickets)}
        batch = batch_from_columns(
            "m", now_ns=0, features=columns, options=DecodeOptions("m", text=frozenset({"note"}))
        )
        builder = PaneBuilder(layout, lambda _column, token: token)
        builder.add_batch(batch)
        (pane,) = builder.take()
        step = detector.step(state, pane.vector, minute=60 * hour, hours=1.0)
        state = step.state
        window = Window("m", 60 * hour, 60 * hour + 60, pane.vector)
        made.append(CheckContext("m", 60 * hour, layout, reference, step, recent={"1h": window}))
    return made


def test_healthy_texts_are_silent_and_their_centroid_stays() -> None:
    made = contexts(0.0)
    assert [f for context in made for f in CHECKS["embedding_drift"].evaluate(context)] == []
    figures = TEXTBOOK["centroid_cosine"].figures(made[-1])
    assert figures["note"].value > 0.98 and not figures["note"].fires


def test_another_subject_is_told_once_with_its_figures() -> None:
    made = contexts(0.4)
    known = tolerances(indicators(baseline().layout, baseline().reference))
    told = [(c, f) for c in made for f in CHECKS["embedding_drift"].evaluate(replace(c, tolerance=known))]
    ((context, finding),) = told
    assert context.minute <= 60 * 3
    assert (finding.tier, finding.features, finding.rows) == (Tier.P3, ("note",), ROWS)
    assert "note is unlike what was known (TV 0." in finding.summary and "centroid cosine 0." in finding.summary
    said = finding.details["embeddings"]["note"]
    assert said["cluster_tv"] == finding.value > 0.2
    assert said["distance_ks"] > 0.2 and said["mmd"] > 0.1
    assert 0.1 < said["min_detectable_h"] < 0.6
    assert sum(said["current_clusters"]) == ROWS and sum(said["reference_clusters"]) == 2000


def test_the_textbook_rule_sees_the_centroid_turn() -> None:
    context = contexts(1.0, hours=1)[0]
    figure = TEXTBOOK["centroid_cosine"].figures(context)["note"]
    assert figure.fires and figure.value < figure.threshold == 0.9
    (finding,) = TEXTBOOK["centroid_cosine"].evaluate(context)
    assert finding.features == ("note",) and finding.summary.startswith("note: centroid cosine")
    assert TEXTBOOK["centroid_cosine"].resolved(contexts(0.0, hours=1)[0]) == ("note",)


def test_a_text_takes_its_part_out_of_the_features_budget_alone() -> None:
    layout = replace(baseline().layout, joint=None)
    weights = stream_weights(layout)
    assert sum(weights.values()) == pytest.approx(sum(STREAM_WEIGHT.values()))
    assert weights[FEATURES] == pytest.approx(0.27) and weights[EMBEDDINGS] == 0.03
    assert stream_weights(replace(layout, embeddings=())) == STREAM_WEIGHT
