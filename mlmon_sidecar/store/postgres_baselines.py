"""Baselines on PostgreSQL, and the healthy rows that one can be built from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from mlmon_sidecar.records import BaselineState, HeldBaseline
from mlmon_sidecar.store.contract import SampledRow
from mlmon_sidecar.store.postgres_sql import clean, rows_of, write
from mlmon_sidecar.store.sqlite_baselines import MAX_KEPT

if TYPE_CHECKING:
    import psycopg

_COLUMNS = "baseline, model, state, from_minute, received_ns, origin, over_, rows, source, created"


def keep(db: psycopg.Connection[Any], held: HeldBaseline, document: str) -> None:
    """One that is there already stays as it is."""
    texts = [clean(item) if isinstance(item, str) else item for item in (*held, document)]
    write(
        db,
        f"INSERT INTO baselines ({_COLUMNS}, document) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
        "ON CONFLICT DO NOTHING",
        texts,
    )
    write(
        db,
        """DELETE FROM baselines WHERE model = %s AND state IN ('replaced', 'rejected') AND baseline NOT IN (
               SELECT baseline FROM baselines WHERE model = %s ORDER BY received_ns DESC LIMIT %s)""",
        (held.model, held.model, MAX_KEPT),
    )


def move(db: psycopg.Connection[Any], held: HeldBaseline) -> None:
    """To the state of ``held``. One that becomes active replaces the one that was."""
    if held.state is BaselineState.ACTIVE:
        write(
            db,
            "UPDATE baselines SET state = 'replaced' WHERE model = %s AND state = 'active' AND baseline <> %s",
            (held.model, held.baseline),
        )
    write(
        db,
        "UPDATE baselines SET state = %s, from_minute = %s, over_ = %s WHERE model = %s AND baseline = %s",
        (held.state, held.from_minute, held.over, held.model, held.baseline),
    )


def held(db: psycopg.Connection[Any], model: str | None) -> list[HeldBaseline]:
    """Newest first; of one model, or of all."""
    rows = rows_of(
        db,
        f"""SELECT {_COLUMNS} FROM baselines WHERE %(model)s::text IS NULL OR model = %(model)s
            ORDER BY received_ns DESC, baseline""",  # noqa: S608 - constants only
        {"model": model},
    )
    return [HeldBaseline(*row)._replace(state=BaselineState(row[2])) for row in rows]


def sample(db: psycopg.Connection[Any], model: str, since_ns: int, rows: int) -> list[SampledRow]:
    """The rows whose id's last digits are the smallest: a UUIDv7 ends in random ones. Rows of one batch have one id
    before the slash, and are taken or left by their number."""
    found = rows_of(
        db,
        """SELECT p.event_ns, p.version, p.score, p.predicted, l.label, p.features, p.segment FROM (
               SELECT prediction_id FROM predictions WHERE model = %s AND event_ns >= %s
               ORDER BY substr(prediction_id, 25), prediction_id LIMIT %s) AS chosen
           JOIN predictions p USING (prediction_id)
           LEFT JOIN labels l ON l.prediction_id = p.prediction_id AND l.state = 'joined'
           ORDER BY p.event_ns, p.prediction_id""",
        (model, since_ns, rows),
    )
    return [SampledRow(*row)._replace(features=orjson.loads(row[5])) for row in found]
