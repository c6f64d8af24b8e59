"""Labels of a history are counted as the store would have counted them."""

from pathlib import Path

import numpy as np
from backtest_parts import REDACTOR

from mlmon_sidecar.backtest.labels import Said, gains
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import MINUTE_NS, Flush, KeptRow, KeptRows, Label, OutcomeCell, RedactedRows
from mlmon_sidecar.store import open_store

DAY_NS = 86_400_000_000_000


def test_numbers_are_counted_by_the_size_of_their_errors_as_in_the_store(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    said = rng.normal(0, 50, 400).round(1)
    true = said - np.concatenate((rng.normal(0, 9, 390), [0.0] * 5, [8.0, -8.0, 0.25, 1e-30, 1e30]))
    first = true + np.where(np.arange(400) < 50, 500.0, 0.0)  # put right a day later
    batch = batch_from_columns(
        "m", now_ns=0, options=DecodeOptions("m", kind="regression"), features={"x": [0.0] * 400},
        scores=said.tolist(), times=[3 * DAY_NS] * 400,
    )  # fmt: skip
    labels = [Said(n, repr(float(value)), 4 * DAY_NS) for n, value in enumerate(first)]
    labels += [Said(n, repr(float(true[n])), 5 * DAY_NS) for n in range(50)]
    known: dict[OutcomeCell, int] = {}
    for gain in gains(batch, labels, REDACTOR):
        key = gain.cell._replace(rows=0, version="")
        known[key] = known.get(key, 0) + gain.cell.rows
    store = open_store(f"sqlite:///{tmp_path / 'mlmon.db'}")
    store.take_over()
    rows = [
        KeptRow(f"p{n}", "m", "", "", 3 * DAY_NS, float(said[n]), None, None, None, "", "", "{}") for n in range(400)
    ]
    for seq, kept in ((1, []), (2, rows)):
        store.commit_flush(
            Flush("r", seq, (), RedactedRows(KeptRows.of(kept)), {}, {"m": 3 * DAY_NS // MINUTE_NS}, 0, False, "h:1"), 0
        )
    for part in (labels[:400], labels[400:]):
        store.commit_labels([Label(f"p{item.row}", item.label, item.observed_ns) for item in part], 9 * DAY_NS)
        while store.join_labels(100):
            pass
    stored = {cell._replace(rows=0): cell.rows for cell in store.outcome_cells("m", 3, 3)}
    store.close()
    assert {cell: rows for cell, rows in known.items() if rows} == {cell: rows for cell, rows in stored.items() if rows}
    assert len(stored) > 20
