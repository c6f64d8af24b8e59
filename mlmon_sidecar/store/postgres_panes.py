"""What flushes and seals write into PostgreSQL: panes, predictions, counters, curves and incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.records import Flush, FlushReceipt, FlushStatus, Incident, KeptRows, Pane, PaneKey
from mlmon_sidecar.statistics.packing import decode_samples, decode_vector, encode_samples, encode_vector
from mlmon_sidecar.store.contract import Point, StoredPane
from mlmon_sidecar.store.losses import losses_in
from mlmon_sidecar.store.postgres_sql import DAY_NS, EACH, clean, columns, packed, rows_of, write, write_all
from mlmon_sidecar.store.rows import INCIDENT_COLUMNS, incident_row, json_text

if TYPE_CHECKING:
    import psycopg

PANE_COLUMNS = "model, version, segment, layout, minute, vector, samples"

_PREDICTIONS = f"""
WITH item AS MATERIALIZED (
    SELECT DISTINCT ON (c0 COLLATE "C") * FROM {columns(12)} ORDER BY c0 COLLATE "C", n),
kept AS (
    INSERT INTO predictions
    SELECT c0, c1, c2, c3, c4::bigint, c5::double precision, c6, c7::double precision, c8, c9, c10, c11 FROM item
    ON CONFLICT DO NOTHING RETURNING model, version, event_ns)
INSERT INTO prediction_days
SELECT model, version, event_ns / {DAY_NS}, count(*), max(event_ns) FROM kept GROUP BY 1, 2, 3
ON CONFLICT (model, version, day) DO UPDATE
SET rows = prediction_days.rows + excluded.rows,
    newest_ns = greatest(prediction_days.newest_ns, excluded.newest_ns)"""  # noqa: S608 - constants only
"""A prediction that is here already counts and is written no second time."""

_INCIDENT_VALUES = ", ".join(["%s"] * 12)
_INCIDENT_NEW = ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in INCIDENT_COLUMNS.split(",")[1:])


def advance_recorder(db: psycopg.Connection[Any], flush: Flush, seen_ns: int) -> FlushReceipt:
    """The recorder's number moves, or nothing happens."""
    known = rows_of(db, "SELECT last_seq FROM recorders WHERE recorder_id = %s", (flush.recorder_id,))
    through = json_text(dict(flush.complete_through))
    if not known:
        if flush.seq != 1:
            return FlushReceipt(FlushStatus.UNKNOWN_RECORDER, 0)
        write(
            db,
            "INSERT INTO recorders VALUES (%s, 1, 0, %s, %s, %s, %s)",
            (flush.recorder_id, clean(flush.origin), seen_ns, through, flush.closing),
        )
        return FlushReceipt(FlushStatus.COMMITTED, 0)
    lost = flush.seq - 1 - known[0][0]
    moved = write(
        db,
        """UPDATE recorders SET last_seq = %(seq)s, lost = lost + %(lost)s, seen_ns = %(seen)s,
               complete_through = %(through)s, closed = %(closed)s
           WHERE recorder_id = %(recorder)s AND last_seq < %(seq)s""",
        {
            "seq": flush.seq,
            "lost": lost,
            "seen": seen_ns,
            "through": through,
            "closed": flush.closing,
            "recorder": flush.recorder_id,
        },
    )
    return FlushReceipt(FlushStatus.COMMITTED, lost) if moved else FlushReceipt(FlushStatus.DUPLICATE, 0)


def insert_flush(db: psycopg.Connection[Any], flush: Flush, seen_ns: int) -> None:
    """What a flush brings, once its number has moved."""
    if flush.panes:
        db.cursor().executemany(
            "INSERT INTO open_panes (recorder_id, model, version, segment, layout, minute, vector, samples) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(flush.recorder_id, *map(_cleaned, pane.key), *_packed(pane)) for pane in flush.panes],
        )
    _insert_predictions(db, flush.rows.rows)
    _add_counters(db, flush.counters)
    found = losses_in(flush.counters)
    if any(found):
        sums = ", ".join(f"{name} = loss_days.{name} + excluded.{name}" for name in found._fields)
        write(
            db,
            f"INSERT INTO loss_days VALUES (%s, %s, %s, %s, %s) ON CONFLICT (day) DO UPDATE SET {sums}",  # noqa: S608
            (seen_ns // DAY_NS, found.exchanges, found.of_exchanges, found.rows, found.of_rows),
        )


def _insert_predictions(db: psycopg.Connection[Any], rows: KeptRows) -> None:
    if rows:
        write(db, _PREDICTIONS, list(map(packed, rows.columns)))


def _add_counters(db: psycopg.Connection[Any], counters: Mapping[str, int]) -> None:
    write_all(
        db,
        f"""INSERT INTO counters SELECT value ->> 0, (value ->> 1)::bigint FROM {EACH}
            ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value""",  # noqa: S608 - constants only
        list(counters.items()),
    )


def write_fleet_panes(db: psycopg.Connection[Any], panes: Sequence[Pane]) -> None:
    """Whole sums, in the place of what was there."""
    if panes:
        db.cursor().executemany(
            f"""INSERT INTO fleet_panes ({PANE_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)
                ON CONFLICT (model, minute, version, segment, layout) DO UPDATE
                SET vector = excluded.vector, samples = excluded.samples""",  # noqa: S608 - constants only
            [(*map(_cleaned, pane.key), *_packed(pane)) for pane in panes],
        )


def write_series(db: psycopg.Connection[Any], model: str, points: Sequence[Point]) -> None:
    """The last of those with the same name, label and minute."""
    newest = {(point.name, point.label, point.at_minute): point.value for point in points}
    write_all(
        db,
        f"""INSERT INTO series
            SELECT value ->> 0, value ->> 1, value ->> 2, (value ->> 3)::bigint, (value ->> 4)::double precision
            FROM {EACH} ON CONFLICT (model, name, label, at_minute) DO UPDATE SET value = excluded.value""",  # noqa: S608
        [(model, *key, value) for key, value in newest.items()],
    )


def write_incidents(db: psycopg.Connection[Any], incidents: Sequence[tuple[Incident, str, int]]) -> None:
    """(incident, transition, minute); what is to be told of goes to the outbox once."""
    if not incidents:
        return
    cursor = db.cursor()
    cursor.executemany(
        f"""INSERT INTO incidents ({INCIDENT_COLUMNS}) VALUES ({_INCIDENT_VALUES})
            ON CONFLICT (key) DO UPDATE SET {_INCIDENT_NEW}""",  # noqa: S608 - constants only
        [tuple(map(_cleaned, incident_row(incident))) for incident, _, _ in incidents],
    )
    cursor.executemany(
        "INSERT INTO outbox (incident_key, transition, minute) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [(clean(incident.key), transition, minute) for incident, transition, minute in incidents if transition],
    )


def stored_pane(row: Sequence[Any]) -> StoredPane:
    """Of ``pane_id`` and ``PANE_COLUMNS``."""
    pane_id, model, version, segment, layout, minute, vector, samples = row
    key = PaneKey(model, version, segment, layout, minute)
    return StoredPane(pane_id, Pane(key, decode_vector(bytes(vector)), decode_samples(bytes(samples))))


def _packed(pane: Pane) -> tuple[bytes, bytes]:
    return encode_vector(pane.vector), encode_samples(pane.samples)


def _cleaned(item: Any) -> Any:
    return clean(item) if isinstance(item, str) else item
