"""What leaves an SQLite store with time. Small steps, each a transaction of its own, so that flushes wait for none."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import orjson

from mlmon_sidecar.records import Erased
from mlmon_sidecar.store.contract import Keep
from mlmon_sidecar.store.sqlite_labels import DAY_NS
from mlmon_sidecar.store.sqlite_reading import one

MINUTE_CURVES = ("requests", "errors", "p95_ms")

_OLDEST = """SELECT prediction_id FROM predictions INDEXED BY predictions_by_time
             WHERE model = :model AND event_ns < :before ORDER BY event_ns LIMIT :limit"""

# Row 7 of a batch is "<id>/7", its alias "<alias>/7"; "0" is the character after "/".
_NAMED = """SELECT json_group_array(DISTINCT prediction_id) FROM (
    SELECT prediction_id FROM json_each(:ids) AS said JOIN predictions
        ON prediction_id = said.value OR (prediction_id >= said.value || '/' AND prediction_id < said.value || '0')
    UNION ALL
    SELECT prediction_id FROM json_each(:aliases) AS said JOIN predictions
        ON alias = said.value OR (alias >= said.value || '/' AND alias < said.value || '0'))"""

_NAMED_LABELS = """DELETE FROM labels WHERE prediction_id IN (SELECT value FROM json_each(:found)) OR label_id IN (
    SELECT l.label_id FROM (SELECT value FROM json_each(:ids) UNION SELECT value FROM json_each(:aliases)) AS said
    JOIN labels AS l
        ON l.id = said.value OR (l.id >= said.value || '/' AND l.id < said.value || '0'))"""


def forget_predictions(db: apsw.Connection, model: str, before_ns: int, limit: int) -> int:
    """At most ``limit`` of the oldest, with their labels. What labels were counted stays counted."""
    found = one(db, f"SELECT json_group_array(prediction_id) FROM ({_OLDEST})",  # noqa: S608 - constants only
                {"model": model, "before": before_ns, "limit": limit})  # fmt: skip
    if found == "[]":
        return 0
    _delete_predictions(db, found)
    db.execute("DELETE FROM prediction_days WHERE model = ? AND rows <= 0", (model,)).fetchall()
    return len(orjson.loads(found))


def erase(db: apsw.Connection, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
    """Predictions by minted id or alias, with the numbered rows of a batch, and every label that names them."""
    bindings = {"ids": orjson.dumps(ids).decode(), "aliases": orjson.dumps(aliases).decode()}
    found = one(db, _NAMED, bindings)
    db.execute(_NAMED_LABELS, bindings | {"found": found}).fetchall()
    labels = db.changes()
    if found != "[]":
        _delete_predictions(db, found)
        db.execute("DELETE FROM prediction_days WHERE rows <= 0").fetchall()
    return Erased(len(orjson.loads(found)), labels)


def _delete_predictions(db: apsw.Connection, found: str) -> None:
    """``found``: a JSON array of ids."""
    db.execute(
        """INSERT INTO prediction_days
           SELECT model, version, event_ns / :day, -count(*), max(event_ns) FROM predictions
           WHERE prediction_id IN (SELECT value FROM json_each(:found)) GROUP BY 1, 2, 3
           ON CONFLICT DO UPDATE SET rows = rows + excluded.rows""",
        {"day": DAY_NS, "found": found},
    ).fetchall()
    db.execute("DELETE FROM labels WHERE prediction_id IN (SELECT value FROM json_each(?))", (found,)).fetchall()
    db.execute("DELETE FROM predictions WHERE prediction_id IN (SELECT value FROM json_each(?))", (found,)).fetchall()


def forget_pending(db: apsw.Connection, before_ns: int, limit: int) -> int:
    """Labels received before ``before_ns`` that no prediction was found for: counted, by the model they named."""
    found = one(
        db,
        """SELECT json_group_array(label_id) FROM (
               SELECT label_id FROM labels WHERE state = 'pending' AND received_ns < ? ORDER BY label_id LIMIT ?)""",
        (before_ns, limit),
    )
    db.execute(
        """INSERT INTO label_totals SELECT model, 'unmatched', count(*) FROM labels
           WHERE label_id IN (SELECT value FROM json_each(?)) GROUP BY model
           ON CONFLICT DO UPDATE SET count = count + excluded.count""",
        (found,),
    ).fetchall()
    db.execute("DELETE FROM labels WHERE label_id IN (SELECT value FROM json_each(?))", (found,)).fetchall()
    return int(db.changes())


def forget_figures(db: apsw.Connection, model: str, keep: Keep, limit: int) -> int:
    """Curves, panes, outcome cells and ended incidents; at most ``limit`` of each."""
    steps: tuple[tuple[str, str, tuple[object, ...]], ...] = (
        (
            "series",
            "model = ? AND label = '' AND name IN (SELECT value FROM json_each(?)) AND at_minute < ?",
            (model, orjson.dumps(MINUTE_CURVES).decode(), keep.minute_curves),
        ),
        ("series", "model = ? AND at_minute < ?", (model, keep.figures)),
        ("fleet_panes", "model = ? AND minute < ?", (model, keep.figures)),
        ("outcome_panes", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_scores", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_losses", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_errors", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_weights", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_score_weights", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_loss_weights", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_error_weights", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_segments", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_segment_scores", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_segment_losses", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("outcome_segment_errors", "model = ? AND day < ?", (model, keep.outcome_day)),
        ("incidents", "model = ? AND resolved_minute < ?", (model, keep.figures)),
        ("outbox", "delivered = 1 AND incident_key NOT IN (SELECT key FROM incidents)", ()),
    )
    return sum(_delete(db, table, where, bindings, limit) for table, where, bindings in steps)


_KEYS = {
    "series": "(model, name, label, at_minute)",
    "fleet_panes": "rowid",
    "outcome_panes": "(model, version, day, age, predicted, actual)",
    "outcome_scores": "(model, version, day, actual, bin)",
    "outcome_losses": "(model, version, day, actual)",
    "outcome_errors": "(model, version, day)",
    "outcome_weights": "(model, version, day, age, predicted, actual)",
    "outcome_score_weights": "(model, version, day, actual, bin)",
    "outcome_loss_weights": "(model, version, day, actual)",
    "outcome_error_weights": "(model, version, day)",
    "outcome_segments": "(model, segment, day, predicted, actual)",
    "outcome_segment_scores": "(model, segment, day, actual, bin)",
    "outcome_segment_losses": "(model, segment, day, actual)",
    "outcome_segment_errors": "(model, segment, day)",
    "incidents": "key",
    "outbox": "outbox_id",
}


def _delete(db: apsw.Connection, table: str, where: str, bindings: Sequence[object], limit: int) -> int:
    key = _KEYS[table]
    chosen = f"SELECT {key.strip('()')} FROM {table} WHERE {where} LIMIT ?"  # noqa: S608 - constants only
    db.execute(f"DELETE FROM {table} WHERE {key} IN ({chosen})", (*bindings, limit)).fetchall()  # noqa: S608
    return int(db.changes())


def hour_to_roll(db: apsw.Connection, model: str, before_minute: int) -> int | None:
    """The oldest hour before ``before_minute`` that still has panes of single minutes; None: there is none."""
    minute = one(
        db,
        "SELECT min(minute) FROM fleet_panes WHERE model = ? AND minute < ? AND minute % 60 <> 0",
        (model, before_minute),
    )
    return None if minute is None else int(minute) // 60
