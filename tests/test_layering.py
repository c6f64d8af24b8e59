"""The data flows one way: a module imports only what stands to its left, and never its neighbours in a row."""

import ast
from pathlib import Path

import pytest

import mlmon_sidecar

ROWS = [
    {"version", "errors"},
    {"records"},
    {"interfaces", "telemetry", "clock", "selectors", "after_fork", "shipping", "pieces"},
    {"statistics"},
    {
        "capture",
        "decode",
        "redact",
        "aggregate",
        "checks",
        "alerts",
        "outcomes",
        "skew",
        "store",
        "export",
        "resources",
    },
    {"baseline"},
    {"config"},
    {"recorder", "hub", "shipper"},
    {"assets", "backtest", "bulk", "web", "proxy", "client", "analysis"},
    {"runtime"},
    {"demo"},
    {"cli"},
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
ROOT = Path(mlmon_sidecar.__file__).parent
LAZY_FACE = {"__init__"}  # the package's own face may name anything, lazily
FACE_RANK = RANK["runtime"]  # what the face names is composed there: only those to its right may use it


def stage_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_stages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == ROOT.name:
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith(f"{ROOT.name}.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path}: relative import")
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_left(path: Path) -> None:
    stage = stage_of(path)
    if stage in LAZY_FACE:
        return
    assert stage in RANK, f"{stage} has no place in the layout"
    wrong = {other for other in imported_stages(path) if other != stage and RANK.get(other, FACE_RANK) >= RANK[stage]}
    assert not wrong, f"{stage} must not import {sorted(wrong)}"


def test_every_row_is_checked() -> None:
    assert {stage_of(path) for path in ROOT.rglob("*.py")} - LAZY_FACE <= RANK.keys()
