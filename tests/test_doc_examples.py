"""The examples in the docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import mlmon_sidecar

ROOT = Path(mlmon_sidecar.__file__).parent
MODULES = sorted(
    ".".join(("mlmon_sidecar", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted
    assert not result.failed
