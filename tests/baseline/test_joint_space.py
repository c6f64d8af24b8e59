"""When features are counted together at all."""

import json

import numpy as np

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.statistics.embedding_space import part_names


def build(columns: dict[str, list[object]], chunk: int | None = None) -> Baseline:
    return build_baseline(
        columns, Roles(), Purpose("m"), redact_category=lambda _column, token: token, policy="",
        created="2026-01-01T00:00:00Z", chunk_rows=chunk,
    )  # fmt: skip


def normals(rows: int, width: int, seed: int = 1) -> dict[str, list[object]]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=rows)
    return {f"x{k}": (rng.normal(size=rows) + (k % 2) * common).tolist() for k in range(width)}


def test_twenty_complete_rows_a_column_are_needed() -> None:
    for rows, columns in ((160, 4), (320, 8), (800, 8)):  # half of them are fitted on
        joint = build(normals(rows, 8)).layout.joint
        assert joint is not None and len(joint.columns) == columns


def test_the_closest_columns_come_first_where_there_is_no_room_for_all() -> None:
    joint = build(normals(4096, 80)).layout.joint
    assert joint is not None and len(joint.columns) == 64
    assert {f"x{k}" for k in range(1, 80, 2)} <= set(joint.columns), "those that go together"
    assert len(joint.residuals) == 20


def test_one_column_has_nothing_to_go_with() -> None:
    assert build({"x": normals(300, 1)["x0"], "town": ["A", "B", "C"] * 100}).layout.joint is None
    assert build({"x": normals(300, 1)["x0"], "flat": [1.0] * 300}).layout.joint is None


def test_parts_of_embeddings_are_left_to_them() -> None:
    rng = np.random.default_rng(4)
    columns: dict[str, list[object]] = {name: rng.normal(size=900).tolist() for name in part_names("v")}
    assert build(columns).layout.joint is None
    joint = build({**columns, **normals(900, 2)}).layout.joint
    assert joint is not None and set(joint.columns) == {"x0", "x1"}


def test_neither_order_nor_pieces_change_a_byte() -> None:
    columns = normals(3000, 5)
    order = np.random.default_rng(5).permutation(3000).tolist()
    shuffled: dict[str, list[object]] = {name: [values[k] for k in order] for name, values in columns.items()}
    one, other = build(columns), build(shuffled, chunk=331)
    assert one.layout.joint is not None
    assert json.dumps(one.to_document()) == json.dumps(other.to_document())


def test_columns_that_say_the_same_make_no_trouble() -> None:
    columns = normals(1000, 3)
    columns["twice"] = [2 * float(value) + 1 for value in columns["x1"]]  # type: ignore[arg-type]
    columns["opposite"] = [-float(value) for value in columns["x1"]]  # type: ignore[arg-type]
    joint = build(columns).layout.joint
    assert joint is not None and {"twice", "opposite", "x1"} <= {each.name for each in joint.residuals}
