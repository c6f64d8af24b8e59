"""Drift over several hubs as Prometheus computes it is ours on the summed counts, and scipy's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from mlmon_sidecar.assets.fleet import FLEET, FLOOR
from mlmon_sidecar.assets.writing import write
from mlmon_sidecar.statistics.distances import PSI_FLOOR, population_stability, total_variation

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on this machine")

REFERENCE = {"age": (100, 200, 400, 200, 100), "town": (500, 300, 0, 200), "same": (10, 30), "gone": (7, 3)}
HUBS = {
    "a": {"age": (40, 10, 30, 5, 0), "town": (10, 0, 5, 0), "same": (1, 3), "gone": (0, 0)},
    "b": {"age": (70, 20, 3, 55, 2), "town": (90, 0, 25, 7), "same": (10, 30), "gone": (0, 0)},
}
SCALE = 1_000_000_000  # promtool compares whole numbers exactly


def measures(reference: tuple[int, ...], current: np.ndarray) -> dict[str, float]:
    before, now = np.array(reference), current
    own = {"total_variation": total_variation(before, now), "psi": population_stability(before, now)}
    assert all(value is not None for value in own.values())
    p, q = now / now.sum(), before / before.sum()
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    kl = np.where(p > 0, p * np.log(p / q), 0).sum() + np.where(q > 0, q * np.log(q / p), 0).sum()
    assert own["psi"] == pytest.approx(kl)  # the symmetrised divergence, written another way
    divergence = jensenshannon(now, before, base=2) ** 2
    middle = (now / now.sum() + before / before.sum()) / 2
    by_entropy = entropy(middle, base=2) - (entropy(now, base=2) + entropy(before, base=2)) / 2
    assert divergence == pytest.approx(by_entropy, abs=1e-12)
    return {name: float(value or 0) for name, value in {**own, "jensen_shannon": divergence}.items()}


def test_prometheus_computes_what_we_do(tmp_path: Path) -> None:
    write("prometheus", tmp_path)
    lines = [
        "rule_files: [mlmon.rules.yml]",
        "evaluation_interval: 1m",
        "tests:",
        "  - interval: 1m",
        "    input_series:",
    ]
    for hub, features in HUBS.items():
        for feature, counts in features.items():
            total = sum(REFERENCE[feature])
            for place, (count, was) in enumerate(zip(counts, REFERENCE[feature], strict=True)):
                who = f'mlmon_model_name="m", mlmon_feature_name="{feature}", instance="{hub}"'
                labels = f'{{{who}, mlmon_bin="{place:02d}"}}'
                lines.append(f"      - {{series: 'mlmon_feature_bin{labels}', values: {count}x9}}")
                lines.append(f"      - {{series: 'mlmon_baseline_bin_ratio{labels}', values: {was / total!r}x9}}")
    lines.append("    promql_expr_test:")
    expected = {
        feature: measures(counts, sum(np.array(hub[feature]) for hub in HUBS.values()))
        for feature, counts in REFERENCE.items()
        if feature != "gone"
    }
    for rule in ("total_variation", "psi", "jensen_shannon"):
        lines += [f"      - expr: round(mlmon_feature:mlmon_drift:{rule} * {SCALE})", "        eval_time: 5m"]
        lines.append("        exp_samples:")
        for feature, found in expected.items():
            labels = f'{{mlmon_model_name="m", mlmon_feature_name="{feature}"}}'
            lines.append(f"          - {{labels: '{labels}', value: {round(found[rule] * SCALE)}}}")
    (tmp_path / "fleet.test.yml").write_text("\n".join(lines))
    done = subprocess.run(
        ["promtool", "test", "rules", "fleet.test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected["same"] == pytest.approx({"total_variation": 0, "psi": 0, "jensen_shannon": 0}, abs=1e-12)
    assert expected["town"]["psi"] > 1 and len(FLEET) == 5


def test_the_floor_is_ours() -> None:
    assert float(FLOOR) == PSI_FLOOR
