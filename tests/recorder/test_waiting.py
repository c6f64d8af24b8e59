"""Rows go into bundles in their order, each as full as it may be."""

from __future__ import annotations

import random

import pytest

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.recorder import waiting
from mlmon_sidecar.recorder.waiting import ROW_BYTES, Waiting, rows_bytes
from mlmon_sidecar.records import DropReason, KeptRow, KeptRows
from mlmon_sidecar.telemetry import Telemetry


def row(number: int, size: int, *, texts: str | None = None) -> KeptRow:
    return KeptRow(f"{number}", "m", "1", texts or "", 0, None, texts, None, texts, "", "", "x" * size)


def test_what_a_row_costs_is_its_texts_and_a_share() -> None:
    assert rows_bytes(KeptRows.of([row(1, 10), row(2, 20, texts="abc")])) == 2 * ROW_BYTES + 10 + 20 + 3 * 3
    assert rows_bytes(KeptRows()) == 0


def one_by_one(rows: list[KeptRow]) -> list[list[KeptRow]]:
    """Bundles as they are when every row is looked at by itself."""
    bundles: list[list[KeptRow]] = []
    held = 0
    for each in rows:
        if held >= waiting.MAX_ROW_BYTES:
            break
        last = bundles[-1] if bundles else None
        if (
            last is None
            or len(last) >= waiting.FLUSH_ROWS
            or rows_bytes(KeptRows.of([*last, each])) > waiting.FLUSH_BYTES
        ):
            bundles.append([])
        bundles[-1].append(each)
        held += rows_bytes(KeptRows.of([each]))
    return bundles


@pytest.mark.parametrize("seed", range(20))
def test_many_rows_at_once_go_where_each_alone_would(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FLUSH_ROWS", 12)
    monkeypatch.setattr(waiting, "FLUSH_BYTES", 8_000)
    monkeypatch.setattr(waiting, "MAX_ROW_BYTES", 60_000)
    dice = random.Random(seed)
    largest = dice.choice([10, 600, 3_000, 12_000])
    rows = [row(number, dice.randrange(largest), texts=dice.choice([None, "abc"])) for number in range(150)]
    telemetry = Telemetry()
    found = Waiting({"m": 1}, telemetry)
    left = rows
    while left:
        count = dice.randrange(1, 40)
        found.keep(KeptRows.of(left[:count]))
        left = left[count:]
    expected = one_by_one(rows)
    kept = sum(map(len, expected))
    counts = telemetry.snapshot()
    assert counts[names.ROWS_KEPT] == kept
    assert counts.get(names.ROWS_DROPPED_PREFIX + DropReason.HUB_UNREACHABLE, 0) == len(rows) - kept
    assert found.row_bytes == sum(rows_bytes(KeptRows.of(each)) for each in expected)
    taken = []
    more = bool(rows)
    while more:
        _, some, more = found.take()
        taken.append(list(some))
    assert taken == expected
    assert found.row_bytes == 0
