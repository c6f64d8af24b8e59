"""Rows of each request, however they came into batches."""

from types import SimpleNamespace
from typing import Any

from mlmon_sidecar.recorder.sizes import BATCH_BOUNDS, BatchSizes


def batch(*ids: str, version: str = "1") -> Any:
    return SimpleNamespace(model="fraud", version=version, prediction_ids=ids)


def test_a_request_is_counted_once_with_all_its_rows() -> None:
    sizes = BatchSizes()
    sizes.add([batch("a", "b", "c/0", "c/1", "c/2"), batch("c/3"), batch("d", version="2")])
    sizes.add([batch(*(f"e/{row}" for row in range(300)))])
    found = {dict(one.attributes)["mlmon.model.version"]: one for one in sizes.measurements()}
    first = dict(zip((*BATCH_BOUNDS, None), found["1"].counts, strict=True))
    assert {bound: count for bound, count in first.items() if count} == {1.0: 2, 5.0: 1, 500.0: 1}
    assert found["1"].total == 306
    assert found["2"].counts[0] == 1 and found["2"].total == 1
