"""Each entry of the catalogue names a test, which is there."""

import ast
from functools import cache
from pathlib import Path

import pytest

from mlmon_sidecar.export.catalog import CATALOG, EVENTS
from mlmon_sidecar.export.proofs import PROOFS

ROOT = Path(__file__).parents[2]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_entry_has_a_proof_and_nothing_else() -> None:
    assert PROOFS.keys() == CATALOG.keys() | EVENTS.keys()


@pytest.mark.parametrize("name", PROOFS)
def test_the_proof_is_a_test(name: str) -> None:
    path, _, test = PROOFS[name].partition("::")
    assert test.startswith("test_") and test in names_in(path), PROOFS[name]
