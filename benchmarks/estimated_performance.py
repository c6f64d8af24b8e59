"""Estimated performance beside NannyML's own, chunk by chunk of its car-loan data, and how often it is wrong.

    python benchmarks/estimated_performance.py --nannyml VENV/bin/python

``VENV`` has NannyML installed (it needs other versions of packages than this project): it runs there in a process of
its own and writes its figures and its data to a temporary folder. The second part needs the data alone: in each of 300
runs a baseline and a chunk of 2,500 rows are drawn without overlap from the reference, so that nothing has changed, and
the realised figure is compared with the estimate in units of its stated error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.cuts import SCORE_BINS, cut
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.sketch import Cells
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.hub.estimate import expected
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.classification import ClassCounts, accuracy
from mlmon_sidecar.outcomes.ranking import ScoreCell, ranked
from mlmon_sidecar.statistics.calibration import calibrate, expect
from mlmon_sidecar.statistics.score_grid import bin_of

CHUNK = 2_500
FIGURES = {"accuracy": "accuracy", "f1": "f1", "auc": "roc_auc"}  # ours: NannyML's

IN_NANNYML = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import nannyml
folder = sys.argv[1]
reference, analysis, _ = nannyml.load_synthetic_car_loan_dataset()
metrics = ["accuracy", "f1", "roc_auc"]
estimator = nannyml.CBPE(y_pred_proba="y_pred_proba", y_pred="y_pred", y_true="repaid", metrics=metrics,
                         timestamp_column_name="timestamp", chunk_size=2500, problem_type="classification_binary")
found = estimator.fit(reference).estimate(analysis).filter(period="analysis").to_df()
columns = {name: [float(x) for x in found[(name, "value")]] for name in metrics}
json.dump(columns, open(folder + "/estimates.json", "w"))
for name, frame, wanted in (("reference", reference, ["id", "y_pred_proba", "y_pred", "repaid"]),
                            ("analysis", analysis, ["id", "y_pred_proba", "y_pred"])):
    json.dump({c: frame[c].tolist() for c in wanted}, open(f"{folder}/{name}.json", "w"))
reference, analysis, _ = nannyml.load_synthetic_multiclass_classification_dataset()
probabilities = {c.removeprefix("y_pred_proba_"): c for c in reference if c.startswith("y_pred_proba_")}
metrics = ["accuracy", "f1"]
estimator = nannyml.CBPE(y_pred_proba=probabilities, y_pred="y_pred", y_true="y_true", metrics=metrics,
                         timestamp_column_name="timestamp", chunk_size=2500, problem_type="classification_multiclass")
found = estimator.fit(reference).estimate(analysis).filter(period="analysis").to_df()
columns = {name: [float(x) for x in found[(name, "value")]] for name in metrics}
json.dump(columns, open(folder + "/several_estimates.json", "w"))
for name, frame in (("reference", reference), ("analysis", analysis)):
    made = {"id": frame["id"].tolist(), "y_pred": frame["y_pred"].tolist(),
            "confidence": frame[list(probabilities.values())].max(axis=1).tolist()}
    if "y_true" in frame:
        made["y_true"] = frame["y_true"].tolist()
    json.dump(made, open(f"{folder}/several_{name}.json", "w"))
"""

Columns = dict[str, list[float]]


def same(_name: str, token: str) -> str:
    return token


def beside_nannyml(reference: Columns, analysis: Columns, theirs: dict[str, list[float]]) -> None:
    """The hub's estimate of each chunk, from a baseline built as users build theirs."""
    roles = Roles(id="id", prediction="y_pred", score="y_pred_proba", label="repaid")
    columns = {
        "id": [str(value) for value in reference["id"]],
        "y_pred": [str(int(value)) for value in reference["y_pred"]],
        "y_pred_proba": reference["y_pred_proba"],
        "repaid": [str(int(value)) for value in reference["repaid"]],
    }
    baseline = build_baseline(
        columns, roles, Purpose("car-loan", kind="binary", positive="1"), redact_category=same, policy="", created=""
    )
    plan = ModelPlan("car-loan", baseline.layout, baseline)
    options = DecodeOptions("car-loan", kind="binary", positive="1", negative="0")
    worst = dict.fromkeys(FIGURES, 0.0)
    for chunk in range(len(analysis["id"]) // CHUNK):
        rows = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        builder = PaneBuilder(baseline.layout, same)
        batch = batch_from_columns(
            "car-loan", now_ns=0, options=options, features={}, scores=analysis["y_pred_proba"][rows],
            predictions=[str(int(value)) for value in analysis["y_pred"][rows]],
        )  # fmt: skip
        builder.add_batch(batch)
        found = expected(plan, sum(pane.vector for pane in builder.take()))
        assert found is not None and found.rows == CHUNK
        for ours, name in FIGURES.items():
            worst[ours] = max(worst[ours], abs(found.figures[ours].value - theirs[name][chunk]))
    for ours, gap in worst.items():
        print(f"{ours:<9} largest difference from NannyML in {chunk + 1} chunks: {gap:.4f} (wanted: 0.003)")


def several_beside_nannyml(reference: Columns, analysis: Columns, theirs: dict[str, list[float]]) -> None:
    """The same of three classes: the hub counts predicted class and confidence, NannyML knows all probabilities."""
    roles = Roles(id="id", prediction="y_pred", score="confidence", label="y_true")
    columns = {**reference, "id": [str(value) for value in reference["id"]]}
    purpose = Purpose("cards", kind="multiclass")
    baseline = build_baseline(columns, roles, purpose, redact_category=same, policy="", created="")
    plan = ModelPlan("cards", baseline.layout, baseline, metric="f1")
    options = DecodeOptions("cards", kind="multiclass")
    worst = dict.fromkeys(theirs, 0.0)
    for chunk in range(len(analysis["id"]) // CHUNK):
        rows = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        builder = PaneBuilder(baseline.layout, same)
        batch = batch_from_columns(
            "cards", now_ns=0, options=options, features={}, predictions=analysis["y_pred"][rows],
            confidences=analysis["confidence"][rows],
        )  # fmt: skip
        builder.add_batch(batch)
        found = expected(plan, sum(pane.vector for pane in builder.take()))
        assert found is not None and found.rows == CHUNK
        for name, values in theirs.items():
            worst[name] = max(worst[name], abs(found.figures[name].value - values[chunk]))
    for name, gap in worst.items():
        print(f"three classes, {name:<9} largest difference from NannyML in {chunk + 1} chunks: {gap:.4f}")


def without_change(reference: Columns, runs: int, rows: int) -> None:
    """Share of runs in which the realised figure is more than three stated errors from the estimate."""
    score = np.array(reference["y_pred_proba"])
    said, true = (np.array(reference[name]).astype(np.int64) for name in ("y_pred", "repaid"))
    beyond = dict.fromkeys(FIGURES, 0)
    for seed in range(runs):
        order = np.random.default_rng(seed).permutation(len(score))
        learned, chunk = order[:rows], order[rows : rows + CHUNK]
        edges = np.array(cut(Cells.of(score[learned]), SCORE_BINS).edges)
        behind, hits = (tally(edges, score[learned], weights) for weights in (None, true[learned]))
        window = np.stack([tally(edges, score[chunk], said[chunk] == side) for side in (0, 1)], axis=1)
        found = expect(window, calibrate(hits, behind), behind.astype(np.float64))
        assert found is not None
        for name, value in realised(score[chunk], said[chunk], true[chunk]).items():
            estimate = found.figures[name]
            beyond[name] += abs(value - estimate.value) > 3 * estimate.error
    for name, count in beyond.items():
        print(f"{name:<9} |z| > 3 in {count / runs:.1%} of {runs} runs without change, {rows} labels (wanted: 3%)")


def tally(
    edges: NDArray[np.float64], score: NDArray[np.float64], weights: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    bins = np.searchsorted(edges, score, side="left")
    return np.rint(np.bincount(bins, weights=weights, minlength=len(edges) + 1)).astype(np.int64)


def realised(score: NDArray[np.float64], said: NDArray[np.int64], true: NDArray[np.int64]) -> dict[str, float]:
    matrix = np.bincount(2 * true + said, minlength=4).reshape(2, 2)
    cells = [ScoreCell(int(b), int(1 - y), int(y)) for b, y in zip(bin_of(score), true, strict=True)]
    right, area = accuracy(matrix), ranked(cells).auc
    assert right is not None and area is not None
    return {"accuracy": right, "f1": ClassCounts.of_matrix(matrix).of_class(1).f1, "auc": area}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nannyml", required=True, help="the Python of an environment with NannyML")
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"NML_DISABLE_USAGE_LOGGING": "1", "PATH": os.environ["PATH"]}
        subprocess.run([arguments.nannyml, "-c", IN_NANNYML, folder], check=True, env=quiet)
        reference, analysis, theirs = (
            json.loads((Path(folder) / f"{name}.json").read_text()) for name in ("reference", "analysis", "estimates")
        )
        several = [
            json.loads((Path(folder) / f"several_{name}.json").read_text())
            for name in ("reference", "analysis", "estimates")
        ]
    beside_nannyml(reference, analysis, theirs)
    several_beside_nannyml(*several)
    for rows in (5_000, 20_000):
        without_change(reference, arguments.runs, rows)


if __name__ == "__main__":
    main()
