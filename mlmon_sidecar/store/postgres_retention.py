"""What leaves a PostgreSQL store with time, in small steps, each a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.records import Erased
from mlmon_sidecar.store.contract import Keep
from mlmon_sidecar.store.postgres_sql import DAY_NS, clean, rows_of, write
from mlmon_sidecar.store.sqlite_retention import MINUTE_CURVES

if TYPE_CHECKING:
    import psycopg

_BY_DAY = (
    "outcome_panes", "outcome_scores", "outcome_losses", "outcome_errors", "outcome_weights", "outcome_score_weights",
    "outcome_loss_weights", "outcome_error_weights", "outcome_segments",
    "outcome_segment_scores", "outcome_segment_losses", "outcome_segment_errors",
)  # fmt: skip

# Row 7 of a batch is "<id>/7", its alias "<alias>/7"; "0" is the character after "/".
_NAMED = """
SELECT prediction_id FROM unnest(%(ids)s::text[]) AS said(id) JOIN predictions ON prediction_id = said.id
UNION
SELECT prediction_id FROM unnest(%(ids)s::text[]) AS said(id) JOIN predictions
    ON prediction_id >= said.id || '/' AND prediction_id < said.id || '0'
UNION
SELECT prediction_id FROM unnest(%(aliases)s::text[]) AS said(id) JOIN predictions ON alias = said.id
UNION
SELECT prediction_id FROM unnest(%(aliases)s::text[]) AS said(id) JOIN predictions
    ON alias >= said.id || '/' AND alias < said.id || '0'"""

_NAMED_LABELS = """
DELETE FROM labels l WHERE prediction_id = ANY(%(found)s) OR EXISTS (
    SELECT 1 FROM unnest(%(ids)s::text[] || %(aliases)s::text[]) AS said(id)
    WHERE l.id = said.id OR (l.id >= said.id || '/' AND l.id < said.id || '0'))"""


def forget_predictions(db: psycopg.Connection[Any], model: str, before_ns: int, limit: int) -> int:
    """At most ``limit`` of the oldest, with their labels. What labels were counted stays counted."""
    rows = rows_of(
        db,
        "SELECT prediction_id FROM predictions WHERE model = %s AND event_ns < %s ORDER BY event_ns LIMIT %s",
        (model, before_ns, limit),
    )
    found = [row[0] for row in rows]
    if found:
        _delete_predictions(db, found)
        write(db, "DELETE FROM prediction_days WHERE model = %s AND rows <= 0", (model,))
    return len(found)


def erase(db: psycopg.Connection[Any], ids: Sequence[str], aliases: Sequence[str]) -> Erased:
    """Predictions by minted id or alias, with the numbered rows of a batch, and every label that names them."""
    bindings = {"ids": [clean(id_) for id_ in ids], "aliases": [clean(alias) for alias in aliases]}
    found = [row[0] for row in rows_of(db, _NAMED, bindings)]
    labels = write(db, _NAMED_LABELS, bindings | {"found": found})
    if found:
        _delete_predictions(db, found)
        write(db, "DELETE FROM prediction_days WHERE rows <= 0")
    return Erased(len(found), labels)


def _delete_predictions(db: psycopg.Connection[Any], found: list[str]) -> None:
    write(
        db,
        f"""INSERT INTO prediction_days
            SELECT model, version, event_ns / {DAY_NS}, -count(*), max(event_ns) FROM predictions
            WHERE prediction_id = ANY(%s) GROUP BY 1, 2, 3
            ON CONFLICT (model, version, day) DO UPDATE SET rows = prediction_days.rows + excluded.rows""",  # noqa: S608
        (found,),
    )
    write(db, "DELETE FROM labels WHERE prediction_id = ANY(%s)", (found,))
    write(db, "DELETE FROM predictions WHERE prediction_id = ANY(%s)", (found,))


def forget_pending(db: psycopg.Connection[Any], before_ns: int, limit: int) -> int:
    """Labels received before ``before_ns`` that no prediction was found for: counted, by the model they named."""
    rows = rows_of(
        db,
        "SELECT label_id FROM labels WHERE state = 'pending' AND received_ns < %s ORDER BY label_id LIMIT %s",
        (before_ns, limit),
    )
    found = [row[0] for row in rows]
    write(
        db,
        """INSERT INTO label_totals SELECT model, 'unmatched', count(*) FROM labels WHERE label_id = ANY(%s)
           GROUP BY model
           ON CONFLICT (model, status) DO UPDATE SET count = label_totals.count + excluded.count""",
        (found,),
    )
    return write(db, "DELETE FROM labels WHERE label_id = ANY(%s)", (found,))


def forget_figures(db: psycopg.Connection[Any], model: str, keep: Keep, limit: int) -> int:
    """Curves, panes, outcome cells and ended incidents; at most ``limit`` of each."""
    steps: list[tuple[str, str, tuple[object, ...]]] = [
        (
            "series",
            "model = %s AND label = '' AND name = ANY(%s) AND at_minute < %s",
            (model, list(MINUTE_CURVES), keep.minute_curves),
        ),
        ("series", "model = %s AND at_minute < %s", (model, keep.figures)),
        ("fleet_panes", "model = %s AND minute < %s", (model, keep.figures)),
        *((table, "model = %s AND day < %s", (model, keep.outcome_day)) for table in _BY_DAY),
        ("incidents", "model = %s AND resolved_minute < %s", (model, keep.figures)),
        ("outbox", "delivered AND incident_key NOT IN (SELECT key FROM incidents)", ()),
    ]
    return sum(
        write(
            db,
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {where} LIMIT %s))",  # noqa: S608
            (*bindings, limit),
        )
        for table, where, bindings in steps
    )


def hour_to_roll(db: psycopg.Connection[Any], model: str, before_minute: int) -> int | None:
    """The oldest hour before ``before_minute`` that still has panes of single minutes; None: there is none."""
    minute = rows_of(
        db,
        "SELECT min(minute) FROM fleet_panes WHERE model = %s AND minute < %s AND minute %% 60 <> 0",
        (model, before_minute),
    )[0][0]
    return None if minute is None else minute // 60
