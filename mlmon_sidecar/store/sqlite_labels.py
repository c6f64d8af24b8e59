"""Labels on SQLite: committed durably as they come, joined with their predictions by the hub alone.

A label names a prediction by the minted id or by the caller's alias; an alias means the latest prediction before the
label was observed. Counts are signed: a correction takes the earlier label out of the cell it was counted in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import apsw

from mlmon_sidecar.records import Label, LabelReceipt, LabelStatus, OutcomeCell

DAY_NS = 86_400 * 1_000_000_000

_RESOLVE = """
SELECT coalesce(
    (SELECT prediction_id FROM predictions WHERE prediction_id = :id AND (:model = '' OR model = :model)),
    (SELECT prediction_id FROM predictions INDEXED BY predictions_by_alias
     WHERE alias = :id AND event_ns <= :observed AND (:model = '' OR model = :model)
     ORDER BY event_ns DESC LIMIT 1))
"""


def commit(db: apsw.Connection, labels: Sequence[Label], received_ns: int) -> list[LabelReceipt]:
    """Insert what is new; answer for every item in order. Runs inside a durable transaction."""
    return [_commit_one(db, label, received_ns) for label in labels]


def join(db: apsw.Connection, limit: int) -> int:
    """Count at most ``limit`` waiting labels into outcome panes. Returns how many were counted."""
    _resolve_pending(db, limit)
    ready: list[Any] = db.execute(
        """SELECT l.label_id, l.prediction_id, l.label, l.observed_ns, p.model, p.version, p.event_ns, p.predicted
           FROM labels l JOIN predictions p USING (prediction_id)
           WHERE l.state = 'ready' ORDER BY l.label_id LIMIT ?""",
        (limit,),
    ).fetchall()
    cells: Counter[tuple[str, str, int, int, str, str]] = Counter()
    for label_id, prediction_id, text, observed_ns, model, version, event_ns, predicted in ready:
        day = event_ns // DAY_NS
        earlier: list[Any] = db.execute(
            "SELECT label, observed_ns FROM labels WHERE prediction_id = ? AND state = 'joined'", (prediction_id,)
        ).fetchall()
        for old_text, old_observed_ns in earlier:
            cells[(model, version, day, age_days(event_ns, old_observed_ns), predicted or "", old_text)] -= 1
        cells[(model, version, day, age_days(event_ns, observed_ns), predicted or "", text)] += 1
        db.execute(
            "UPDATE labels SET state = 'superseded' WHERE prediction_id = ? AND state = 'joined'", (prediction_id,)
        )
        db.execute("UPDATE labels SET state = 'joined' WHERE label_id = ?", (label_id,))
    db.executemany(
        """INSERT INTO outcome_panes VALUES (?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET count = count + excluded.count""",
        [(*cell, count) for cell, count in sorted(cells.items()) if count],
    )
    return len(ready)


def cells(db: apsw.Connection, model: str, first_day: int, last_day: int) -> list[OutcomeCell]:
    """Outcome cells of predictions made from ``first_day`` to ``last_day``, both included."""
    rows = db.execute(
        """SELECT version, day, age, predicted, actual, count FROM outcome_panes
           WHERE model = ? AND day BETWEEN ? AND ? AND count <> 0 ORDER BY version, day, age, predicted, actual""",
        (model, first_day, last_day),
    )
    return [OutcomeCell(*row) for row in rows]


def one(db: apsw.Connection, sql: str, bindings: Any = ()) -> Any:
    """The first column of the first row."""
    row = db.execute(sql, bindings).fetchone()
    return None if row is None else row[0]


def age_days(event_ns: int, observed_ns: int) -> int:
    """Whole days from a prediction to its label; a label observed earlier counts as day 0."""
    return max(0, (observed_ns - event_ns) // DAY_NS)


def _commit_one(db: apsw.Connection, label: Label, received_ns: int) -> LabelReceipt:
    prediction_id = one(db, _RESOLVE, {"id": label.id, "model": label.model, "observed": label.observed_ns})
    if prediction_id is None:
        earlier = db.execute(
            "SELECT label FROM labels WHERE state = 'pending' AND id = ? AND model = ? ORDER BY label_id DESC LIMIT 1",
            (label.id, label.model),
        ).fetchone()
    else:
        earlier = db.execute(
            """SELECT label FROM labels WHERE prediction_id = ? AND state IN ('ready', 'joined')
               ORDER BY label_id DESC LIMIT 1""",
            (prediction_id,),
        ).fetchone()
    if earlier is not None and earlier[0] == label.label:
        return LabelReceipt(label.id, LabelStatus.DUPLICATE)
    db.execute(
        "INSERT INTO labels VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            label.id,
            label.model,
            prediction_id,
            label.label,
            label.observed_ns,
            received_ns,
            label.source,
            "pending" if prediction_id is None else "ready",
        ),
    )
    if prediction_id is None:
        return LabelReceipt(label.id, LabelStatus.PENDING, "no prediction with this id yet")
    return LabelReceipt(label.id, LabelStatus.CORRECTED if earlier is not None else LabelStatus.ACCEPTED)


def _resolve_pending(db: apsw.Connection, limit: int) -> None:
    """Pending labels whose prediction has arrived become ready, oldest first; the newest label of an id wins."""
    waiting = db.execute(
        """SELECT l.label_id, l.id, l.model, l.observed_ns FROM labels l
           WHERE l.state = 'pending' AND (
               EXISTS (SELECT 1 FROM predictions p WHERE p.prediction_id = l.id)
               OR EXISTS (SELECT 1 FROM predictions p INDEXED BY predictions_by_alias WHERE p.alias = l.id))
           ORDER BY l.label_id LIMIT ?""",
        (limit,),
    ).fetchall()
    for label_id, label_text_id, model, observed_ns in waiting:
        prediction_id = one(db, _RESOLVE, {"id": label_text_id, "model": model, "observed": observed_ns})
        if prediction_id is not None:
            db.execute(
                "UPDATE labels SET prediction_id = ?, state = 'ready' WHERE label_id = ?", (prediction_id, label_id)
            )
