"""Features counted together, against scikit-learn's models and brute force, in batches of any size."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.recorder.batches import part
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.joint_space import ALL_TOGETHER, COEFFICIENT_UNIT, JointResidual, JointSpace
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace

SIGNS = np.array([1.0, 1.0, -1.0, 0.0])  # how a, b, c and lone go with what is common
NAMES = ("a", "b", "c", "lone")
ROWS = 6000


def columns(seed: int, rows: int = ROWS, signs: np.ndarray = SIGNS) -> dict[str, list[object]]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=rows)
    own = rng.normal(size=(4, rows))
    weight = np.abs(signs)[:, None]
    values = signs[:, None] * 0.9 * common + np.sqrt(1 - (0.9 * weight) ** 2) * own
    return {name: (50 + 4 * row).tolist() for name, row in zip(NAMES, values, strict=True)}


@cache
def baseline() -> Baseline:
    made: dict[str, list[object]] = {**columns(1), "flat": [3.0] * ROWS, "sparse": [None, 1.0, 2.0] * (ROWS // 3)}
    return build_baseline(
        made, Roles(), Purpose("m"), redact_category=lambda _column, token: token, policy="",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip


def counted(made: dict[str, list[object]], size: int, layout: Layout) -> np.ndarray:
    rows = len(made["a"])
    batch = batch_from_columns("m", now_ns=0, features=made, options=DecodeOptions("m"))
    batch = replace(batch, weight=np.where(np.arange(rows) % 3, WEIGHT_UNIT, WEIGHT_UNIT // 7))
    builder = PaneBuilder(layout, lambda _name, token: token)
    for start in range(0, rows, size):
        builder.add_batch(part(batch, slice(start, start + size)))
    (pane,) = builder.take()
    return pane.vector


def test_columns_that_vary_are_counted_together_and_those_that_others_tell_are_told_of() -> None:
    joint = baseline().layout.joint
    assert joint is not None
    assert set(joint.columns) == set(NAMES), "no constant, and none that is often missing"
    assert {each.name for each in joint.residuals} == {"a", "b", "c"}
    assert joint.members("a")[0] == "a" and set(joint.members("a")) == {"a", "b", "c"}
    assert joint.members(ALL_TOGETHER) == joint.columns


def test_coefficients_are_those_of_ridge_regression() -> None:
    joint = baseline().layout.joint
    assert joint is not None
    made = columns(2, 20_000)
    for each in joint.residuals:
        others = [name for name in joint.columns if name != each.name]
        fitted = Ridge(alpha=200.0).fit(np.array([made[name] for name in others]).T, made[each.name])
        ours = dict(zip(joint.columns, np.array(each.coefficients) / COEFFICIENT_UNIT, strict=True))
        assert [-ours[name] for name in others] == pytest.approx(fitted.coef_.tolist(), abs=0.06)
        assert ours[each.name] == 1.0


def test_the_error_is_what_the_main_directions_leave() -> None:
    layout = baseline().layout
    joint = layout.joint
    assert joint is not None
    values = np.array([columns(3, 4000)[name] for name in joint.columns]).T
    standard = (values - 50) / 4
    kept = PCA().fit(standard)
    main = int(np.searchsorted(np.cumsum(kept.explained_variance_ratio_), 0.8)) + 1
    left = standard - PCA(main).fit(standard).inverse_transform(PCA(main).fit_transform(standard))
    theirs = (left**2).sum(axis=1)
    vector = counted(columns(3, 4000), 4000, layout)
    ours = np.cumsum(vector[layout.joint_cells[ALL_TOGETHER].bins])[:-1] / 4000
    edges = np.array(joint.error_edges) / 1024**2
    assert ours == pytest.approx((theirs[:, None] <= edges).mean(axis=0), abs=0.03)


@pytest.mark.parametrize("size", [1, 7, 512, 513])
def test_batches_of_any_size_give_the_same_bytes(size: int) -> None:
    made = columns(4, 1100)
    made["b"] = [None if at % 11 == 0 else value for at, value in enumerate(made["b"])]
    made["c"][5], made["a"][6] = float("inf"), 1e200
    whole = counted(made, 1100, baseline().layout)
    assert counted(made, size, baseline().layout).tobytes() == whole.tobytes()
    for cells in baseline().layout.joint_cells.values():
        assert whole[cells.bins].sum() == 1100 - 100 - 1 + 0, "rows with all of them"


def test_cells_are_those_of_brute_force() -> None:
    features = tuple(NumericFeature(name, (0.0,), (0,), -9.0, 9.0, 1.0, 2.0) for name in ("x", "y"))
    residual_edges, error_edges = (-9000, -2000, 0, 3000), (0, 1, 2, 4, 5, 8, 10, 13, 18, 25, 32, 50)
    space = JointSpace(
        ("x", "y"), (JointResidual("y", (-4000, 4096), residual_edges),), ((1100, -1000), (-1000, 900)), error_edges
    )
    layout = Layout("m", features, PredictionSpace("none"), joint=space)
    rng = np.random.default_rng(8)
    x = rng.normal(1, 0.1, 2000)
    y = x + rng.normal(0, 0.01, 2000)
    bins, errors = [0] * (len(residual_edges) + 1), [0] * (len(error_edges) + 1)
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        p, q = round((a - 1) / 2 * 1024), round((b - 1) / 2 * 1024)
        bins[sum(4096 * q - 4000 * p > edge for edge in residual_edges)] += 1
        error = round((1100 * p - 1000 * q) / 4096) ** 2 + round((900 * q - 1000 * p) / 4096) ** 2
        errors[sum(error > edge for edge in error_edges)] += 1
    made = {"x": x.tolist(), "y": y.tolist()}
    builder = PaneBuilder(layout, lambda _name, token: token)
    builder.add_batch(batch_from_columns("m", now_ns=0, features=made, options=DecodeOptions("m")))
    (pane,) = builder.take()
    cells = layout.joint_cells
    assert sum(count > 0 for count in errors) > 6 and min(bins) > 0
    assert pane.vector[cells["y"].bins].tolist() == bins
    assert pane.vector[cells[ALL_TOGETHER].bins].tolist() == errors
    assert (pane.vector[cells["y"].alarm] == np.array(bins) * WEIGHT_UNIT).all()


def test_the_reference_is_of_rows_that_nothing_was_fitted_on() -> None:
    layout, vector = baseline().layout, baseline().reference.vector
    for cells in layout.joint_cells.values():
        assert vector[cells.bins].sum() == ROWS - 2048  # half of a sample of 4,096
        assert (vector[cells.alarm] == vector[cells.bins] * WEIGHT_UNIT).all()


def test_the_layout_comes_back_equal() -> None:
    layout = baseline().layout
    assert Layout.from_document(layout.to_document()) == layout
    assert layout.size == layout.joint_cells[ALL_TOGETHER].alarm.stop
    assert "joint" not in replace(layout, joint=None).to_document()


@pytest.mark.parametrize("broken", [{"columns": ("a",)}, {"error_edges": (3, 3)}, {"rest": ()}])
def test_a_broken_section_is_refused(broken: dict[str, object]) -> None:
    joint = replace(baseline().layout.joint, **broken)  # type: ignore[type-var,arg-type]
    with pytest.raises(BaselineError):
        Layout.from_document(replace(baseline().layout, joint=joint).to_document())  # type: ignore[arg-type]
