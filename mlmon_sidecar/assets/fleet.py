"""Drift over all hubs of a fleet, computed by Prometheus from bins and reference ratios (``export.bins``).

The formulas are those of ``statistics.distances``; shares below ``FLOOR`` count as that in the PSI. The divergence of
Jensen and Shannon is in bits, so that all but the PSI lie in [0, 1]. Lin, Divergence measures based on the Shannon
entropy, IEEE Transactions on Information Theory 37 (1991), https://doi.org/10.1109/18.61115
"""

from __future__ import annotations

from collections.abc import Mapping

from mlmon_sidecar.export.catalog import BIN, CATALOG, FEATURE, MODEL_NAME
from mlmon_sidecar.export.prometheus import label_name, prometheus_name

FLOOR = "0.0001"  # statistics.distances.PSI_FLOOR
TINY = "1e-12"  # keeps 0 * log 0 from being no number; as a share it is nothing

_FEATURE = ", ".join(map(label_name, (MODEL_NAME, FEATURE)))
_BIN = f"{_FEATURE}, {label_name(BIN)}"
_COUNT = prometheus_name(CATALOG["mlmon.feature.bin"])
_BASELINE = prometheus_name(CATALOG["mlmon.baseline.bin.ratio"])
NOW, BEFORE = "mlmon_feature_bin:mlmon_feature_bin:share", "mlmon_feature_bin:mlmon_baseline_bin_ratio:max"

_FLOORED = tuple(f"clamp_min({share}, {FLOOR})" for share in (NOW, BEFORE))
_MIDDLE = f"clamp_min(({NOW} + {BEFORE}) / 2, {TINY})"


def _entropy(share: str) -> str:
    return f"{share} * log2(clamp_min({share}, {TINY}) / {_MIDDLE})"


FLEET: Mapping[str, str] = {
    NOW: f"sum by ({_BIN}) ({_COUNT}) / on ({_FEATURE}) group_left () (sum by ({_FEATURE}) ({_COUNT}) > 0)",
    BEFORE: f"max by ({_BIN}) ({_BASELINE})",
    "mlmon_feature:mlmon_drift:total_variation": f"sum by ({_FEATURE}) (abs({NOW} - {BEFORE})) / 2",
    "mlmon_feature:mlmon_drift:psi": (
        f"sum by ({_FEATURE}) (({_FLOORED[0]} - {_FLOORED[1]}) * ln({_FLOORED[0]} / {_FLOORED[1]}))"
    ),
    "mlmon_feature:mlmon_drift:jensen_shannon": (f"sum by ({_FEATURE}) ({_entropy(NOW)} + {_entropy(BEFORE)}) / 2"),
}
"""Rule to expression, each after those it rests on: Prometheus evaluates a group in its order."""
