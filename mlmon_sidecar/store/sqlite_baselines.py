"""Baselines in the store: few, and written when somebody decides; and the healthy rows that one can be built from."""

from __future__ import annotations

from typing import Any

import apsw
import orjson

from mlmon_sidecar.records import BaselineState, HeldBaseline
from mlmon_sidecar.store.contract import SampledRow

MAX_KEPT = 32  # of a model; beyond it the oldest that are neither active nor proposed go


def keep(db: apsw.Connection, held: HeldBaseline, document: str) -> None:
    """One that is there already stays as it is."""
    db.execute(
        """INSERT OR IGNORE INTO baselines
               (baseline, model, state, from_minute, received_ns, origin, over_, rows, source, created, document)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (*held, document),
    ).fetchall()
    db.execute(
        """DELETE FROM baselines WHERE model = ? AND state IN ('replaced', 'rejected') AND baseline NOT IN (
               SELECT baseline FROM baselines WHERE model = ? ORDER BY received_ns DESC LIMIT ?)""",
        (held.model, held.model, MAX_KEPT),
    ).fetchall()


def move(db: apsw.Connection, held: HeldBaseline) -> None:
    """To the state of ``held``. One that becomes active replaces the one that was."""
    if held.state is BaselineState.ACTIVE:
        db.execute(
            "UPDATE baselines SET state = 'replaced' WHERE model = ? AND state = 'active' AND baseline != ?",
            (held.model, held.baseline),
        ).fetchall()
    db.execute(
        "UPDATE baselines SET state = ?, from_minute = ?, over_ = ? WHERE model = ? AND baseline = ?",
        (held.state, held.from_minute, held.over, held.model, held.baseline),
    ).fetchall()


def held(db: apsw.Connection, model: str | None) -> list[HeldBaseline]:
    """Newest first; of one model, or of all."""
    rows: Any = db.execute(
        """SELECT baseline, model, state, from_minute, received_ns, origin, over_, rows, source, created FROM baselines
           WHERE ?1 IS NULL OR model = ?1 ORDER BY received_ns DESC, baseline""",
        (model,),
    ).fetchall()
    return [HeldBaseline(*row)._replace(state=BaselineState(row[2])) for row in rows]


def sample(db: apsw.Connection, model: str, since_ns: int, rows: int) -> list[SampledRow]:
    """The rows whose id's last digits are the smallest: a UUIDv7 ends in random ones. Rows of one batch have one id
    before the slash, and are taken or left by their number."""
    found: Any = db.execute(
        """SELECT p.event_ns, p.version, p.score, p.predicted, l.label, p.features, p.segment FROM (
               SELECT prediction_id FROM predictions WHERE model = ? AND event_ns >= ?
               ORDER BY substr(prediction_id, 25), prediction_id LIMIT ?) AS chosen
           JOIN predictions p USING (prediction_id)
           LEFT JOIN labels l ON l.prediction_id = p.prediction_id AND l.state = 'joined'
           ORDER BY p.event_ns, p.prediction_id""",
        (model, since_ns, rows),
    ).fetchall()
    return [SampledRow(*row)._replace(features=orjson.loads(row[5])) for row in found]
