"""The store on PostgreSQL, through psycopg, in a schema of its own (``mlmon``).

One connection writes and one reads; both are guarded by a lock each, so any thread of the hub may call. Every write is
one transaction that first checks the fence: a hub that another one replaced cannot write. A connection that broke is
made anew by the next call, so that the hub outlives a restart of the database; between two calls it costs neither. A
call that met the break failed as a whole, or was committed without the hub knowing, which flushes and labels can bear:
both may come again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import psycopg

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.records import (
    MINUTE_NS,
    Assumption,
    Erased,
    Flush,
    FlushReceipt,
    FlushStatus,
    HeldBaseline,
    Incident,
    Label,
    LabelErrors,
    LabelledCompletion,
    LabelReceipt,
    LabelScores,
    Losses,
    OutcomeCell,
    Pane,
    Part,
    SegmentCell,
    WeightedCell,
)
from mlmon_sidecar.store import (
    label_intake,
    postgres_baselines,
    postgres_feedback,
    postgres_labels,
    postgres_outcomes,
    postgres_panes,
    postgres_retention,
    postgres_weights,
)
from mlmon_sidecar.store.contract import Keep, ModelState, Point, RecorderRow, SampledRow, Seal, StoredPane
from mlmon_sidecar.store.label_rules import Rules
from mlmon_sidecar.store.postgres_connection import (
    SCHEMA_VERSION,
    bring_up_to_date,
    connect,
    is_lost,
    without_time_limit,
)
from mlmon_sidecar.store.postgres_panes import PANE_COLUMNS, stored_pane
from mlmon_sidecar.store.postgres_sql import clean, rows_of, write
from mlmon_sidecar.store.rows import INCIDENT_COLUMNS, incident_of, json_text, summed_into
from mlmon_sidecar.store.sqlite_feedback import assumed_through

if TYPE_CHECKING:
    Connection = psycopg.Connection[tuple[Any, ...]]

PANES_AT_ONCE = 1_024  # in one reading: some megabytes, some tens of milliseconds


class PostgresStore:
    """Implements ``store.contract.Store``.

    Raises ``StoreError``: ``cannot_open`` and ``schema_version`` from the constructor, ``fenced`` and ``store_failed``
    from any method. A write that raised left nothing behind, or all of it where the connection broke during the commit.
    """

    def __init__(self, url: str) -> None:
        """``url``: as libpq reads it, e.g. ``postgresql://user@host/database``; what it leaves out is in ``PG*``."""
        self._url = url
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        try:
            self._write = connect(url)
            try:
                bring_up_to_date(self._write)
                self._read = connect(url)
            except BaseException:
                self._write.close()
                raise
        except psycopg.Error as error:
            raise StoreError(
                f"the database cannot be used ({type(error).__name__}: {_first_line(error)})",
                code="cannot_open",
                hint="Check that it runs, and that the user may connect to it and create a schema in it.",
            ) from error
        self._done = False
        self._epoch = 0
        self._pending_after = 0  # pending labels are looked at in turn

    # ------------------------------------------------------------ transactions

    def take_over(self) -> None:
        """Fence out every earlier hub. Called once by the process that holds the store's lock."""
        with self._writing() as db, db.transaction():
            found = rows_of(
                db, "UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'epoch' RETURNING value::bigint"
            )
            self._epoch = found[0][0]

    @property
    def schema_version(self) -> int:
        return SCHEMA_VERSION

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._write_lock, _as_store_error():
            if not self._done and is_lost(self._write):
                self._write = connect(self._url)
            yield self._write

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """On disk before it is left."""
        with self._writing() as db, db.transaction():
            # Shared with nobody who takes over: they wait for this transaction, and it sees them or is before them.
            if rows_of(db, "SELECT value::bigint FROM meta WHERE key = 'epoch' FOR SHARE")[0][0] != self._epoch:
                raise StoreError("another hub took this store over", code="fenced", hint="This one stops writing.")
            yield db

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._read_lock, _as_store_error():
            if not self._done and is_lost(self._read):
                self._read = connect(self._url)
            yield self._read

    def _rows(self, sql: str, bindings: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self._reading() as db:
            return rows_of(db, sql, bindings)

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._done = True
            self._read.close()
            self._write.close()

    # ------------------------------------------------------------ flushes

    def commit_flush(self, flush: Flush, seen_ns: int) -> FlushReceipt:
        """Exactly once: the recorder's number moves first, and nothing else happens unless it moved."""
        with self._transaction() as db:
            receipt = postgres_panes.advance_recorder(db, flush, seen_ns)
            if receipt.status is FlushStatus.COMMITTED:
                postgres_panes.insert_flush(db, flush, seen_ns)
        return receipt

    def recorders(self) -> list[RecorderRow]:
        rows = self._rows(
            "SELECT recorder_id, last_seq, lost, origin, seen_ns, complete_through, closed FROM recorders"
        )
        return [RecorderRow(*row)._replace(complete_through=orjson.loads(row[5])) for row in rows]

    def forget_recorders(self, seen_before_ns: int) -> int:
        """Closed or long silent recorders leave; their later flushes are refused as unknown."""
        with self._transaction() as db:
            write(db, "DELETE FROM counters WHERE value = 0")  # of processes that have ended
            return write(db, "DELETE FROM recorders WHERE seen_ns < %s", (seen_before_ns,))

    def counters(self) -> dict[str, int]:
        return dict(self._rows("SELECT name, value FROM counters"))

    def losses(self, first_day: int, last_day: int) -> dict[int, Losses]:
        """By the Unix day on which it was told, both ends included."""
        rows = self._rows("SELECT * FROM loss_days WHERE day BETWEEN %s AND %s", (first_day, last_day))
        return {day: Losses(*counts) for day, *counts in rows}

    # ------------------------------------------------------------ panes and seals

    def open_panes(self, model: str, through: int, minutes: int) -> list[StoredPane]:
        """Panes up to and with minute ``through``, oldest first: whole minutes, at most ``minutes`` of them, and
        but for the first at most ``PANES_AT_ONCE`` panes."""
        return self._panes(
            f"""WITH waiting AS (
                    SELECT minute, sum(count(*)) OVER (ORDER BY minute) AS panes FROM open_panes
                    WHERE model = %(model)s AND minute <= %(through)s
                    GROUP BY minute ORDER BY minute LIMIT %(minutes)s)
                SELECT pane_id, {PANE_COLUMNS} FROM open_panes
                WHERE model = %(model)s AND minute <= coalesce(
                    (SELECT max(minute) FROM waiting WHERE panes <= %(panes)s), (SELECT min(minute) FROM waiting))
                ORDER BY minute, version, segment, layout, pane_id""",  # noqa: S608 - constants only
            {"model": model, "through": through, "minutes": minutes, "panes": PANES_AT_ONCE},
        )

    def newer_panes(self, model: str, after: int) -> list[StoredPane]:
        """Open panes with an id beyond ``after`` in the order they came, at most ``PANES_AT_ONCE``."""
        return self._panes(
            f"""SELECT pane_id, {PANE_COLUMNS} FROM open_panes
                WHERE pane_id > %s AND model = %s ORDER BY pane_id LIMIT %s""",  # noqa: S608 - constants only
            (after, model, PANES_AT_ONCE),
        )

    def open_models(self) -> dict[str, int]:
        """Model to its newest minute that waits for a seal."""
        return dict(self._rows("SELECT model, max(minute) FROM open_panes GROUP BY model"))

    def fleet_panes(self, model: str, start: int, end: int) -> list[Pane]:
        """Sealed panes with ``start <= minute < end``, oldest first."""
        return self._fleet_panes("minute >= %s AND minute < %s", (model, start, end))

    def fleet_panes_of(self, model: str, minutes: Sequence[int]) -> list[Pane]:
        """Sealed panes of just these minutes, oldest first."""
        return self._fleet_panes("minute = ANY(%s::bigint[])", (model, list(minutes)))

    def _fleet_panes(self, where: str, bindings: Sequence[Any]) -> list[Pane]:
        stored = self._panes(
            f"""SELECT 0, {PANE_COLUMNS} FROM fleet_panes WHERE model = %s AND {where}
                ORDER BY minute, version, segment, layout""",  # noqa: S608 - constants only
            bindings,
        )
        return [item.pane for item in stored]

    def _panes(self, sql: str, bindings: Sequence[Any] | Mapping[str, Any]) -> list[StoredPane]:
        return [stored_pane(row) for row in self._rows(sql, bindings)]

    def model_state(self, model: str) -> ModelState | None:
        rows = self._rows(
            """SELECT watermark, detector, quality, progress, segment_states.state
               FROM model_state LEFT JOIN segment_states USING (model) WHERE model = %s""",
            (model,),
        )
        if not rows:
            return None
        watermark, detector, quality, progress, segments = rows[0]
        return ModelState(watermark, detector, quality, orjson.loads(progress), segments)

    def seal(self, seal: Seal) -> None:
        """One fenced transaction: fleet panes, detector state, watermark, series, incidents and outbox, or nothing."""
        with self._transaction() as db:
            write(db, "DELETE FROM open_panes WHERE pane_id = ANY(%s::bigint[])", (list(seal.consumed),))
            postgres_panes.write_fleet_panes(db, seal.panes)
            state, model = seal.state, clean(seal.model)
            write(
                db,
                """INSERT INTO model_state VALUES (%s, %s, %s, %s, %s) ON CONFLICT (model) DO UPDATE
                   SET watermark = excluded.watermark, detector = excluded.detector, quality = excluded.quality,
                       progress = excluded.progress""",
                (model, state.watermark, state.detector, state.quality, json_text(state.progress)),
            )
            if state.segments is not None:
                write(
                    db,
                    """INSERT INTO segment_states VALUES (%s, %s)
                       ON CONFLICT (model) DO UPDATE SET state = excluded.state""",
                    (model, state.segments),
                )
            postgres_panes.write_series(db, model, seal.series)
            postgres_panes.write_incidents(db, seal.incidents)
            postgres_labels.judge(db, model, seal.judged)

    def write_incidents(self, incidents: Sequence[tuple[Incident, str, int]]) -> None:
        """(incident, transition, minute) outside a seal: provisional openings, outcome alerts."""
        with self._transaction() as db:
            postgres_panes.write_incidents(db, incidents)

    def save_layout(self, layout_hash: str, model: str, document: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            write(
                db,
                "INSERT INTO layouts VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (layout_hash, clean(model), json_text(document)),
            )

    # ------------------------------------------------------------ reading for people

    def incidents_of(self, keys: Collection[str]) -> list[Incident]:
        """Those with these keys, however old; in no order."""
        rows = self._rows(
            f"SELECT {INCIDENT_COLUMNS} FROM incidents WHERE key = ANY(%s)",  # noqa: S608 - constants only
            (sorted(map(clean, keys)),),
        )
        return [incident_of(row) for row in rows]

    def incidents(self, model: str | None = None, *, only_open: bool = False, limit: int = 200) -> list[Incident]:
        """Newest first."""
        rows = self._rows(
            f"""SELECT {INCIDENT_COLUMNS} FROM incidents
                WHERE (%(model)s::text IS NULL OR model = %(model)s) AND (NOT %(open)s OR resolved_minute IS NULL)
                ORDER BY opened_minute DESC, key LIMIT %(limit)s""",  # noqa: S608 - constants only
            {"model": model, "open": only_open, "limit": limit},
        )
        return [incident_of(row) for row in rows]

    def outbox(self, after: int, limit: int = 100) -> list[tuple[int, str, str, int]]:
        """Undelivered (outbox id, incident key, transition, minute) with a larger id than ``after``."""
        return self._rows(
            """SELECT outbox_id, incident_key, transition, minute FROM outbox
               WHERE NOT delivered AND outbox_id > %s ORDER BY outbox_id LIMIT %s""",
            (after, limit),
        )

    def mark_delivered(self, outbox_ids: Sequence[int]) -> None:
        with self._transaction() as db:
            write(db, "UPDATE outbox SET delivered = true WHERE outbox_id = ANY(%s::bigint[])", (list(outbox_ids),))

    def series(self, model: str, name: str, label: str, since_minute: int, limit: int = 5_000) -> list[Point]:
        rows = self._rows(
            """SELECT name, label, at_minute, value FROM series
               WHERE model = %s AND name = %s AND label = %s AND at_minute >= %s ORDER BY at_minute DESC LIMIT %s""",
            (clean(model), clean(name), clean(label), since_minute, limit),
        )
        return [Point(*row) for row in reversed(rows)]

    def versions(self, model: str) -> list[tuple[str, int, int]]:
        """(version, kept predictions, newest minute), newest first."""
        rows = self._rows(
            """SELECT version, sum(rows)::bigint, max(newest_ns) FROM prediction_days WHERE model = %s
               GROUP BY version ORDER BY 3 DESC, 1""",
            (model,),
        )
        return [(version, count, newest // MINUTE_NS) for version, count, newest in rows]

    def label_counts(self, model: str) -> dict[str, int]:
        """Labels of this model's predictions by what became of them, ever: "matched" is one a prediction, "corrected"
        counts those that a later one replaced."""
        return dict(self._rows("SELECT status, count FROM label_totals WHERE model = %s AND count <> 0", (model,)))

    def stored_rows(self) -> int:
        """Predictions kept at present."""
        return int(self._rows("SELECT coalesce(sum(rows), 0)::bigint FROM prediction_days")[0][0])

    # ------------------------------------------------------------ outcomes

    def commit_labels(
        self,
        labels: Sequence[Label],
        received_ns: int,
        rules: Rules | None = None,
        key: str = "",
        place: tuple[str, str] | None = None,
    ) -> list[LabelReceipt]:
        """Durable on disk before it returns. Raises ``FeedbackError`` for a key that came with another content.

        ``place``: name and text, kept together with the labels: where whoever fetches them goes on (``place``).
        """
        with self._transaction() as db:
            if place is not None:
                postgres_feedback.keep_text(db, f"place:{place[0]}", place[1])
            tables = postgres_feedback.PostgresLabelTables(db)
            return label_intake.commit(tables, labels, received_ns, rules or {}, key)

    def place(self, name: str) -> str:
        """The text that was last kept with labels under this name; "" where none was."""
        rows = self._rows("SELECT value FROM meta WHERE key = %s", (clean(f"place:{name}"),))
        return str(rows[0][0]) if rows else ""

    def assume_labels(
        self, model: str, assumption: Assumption, watermark_ns: int, now_ns: int, limit: int
    ) -> tuple[int, bool]:
        """Make labels of the silence of at most ``limit`` predictions. Returns how many, and whether any were there."""
        if not self._rows(
            """SELECT 1 FROM predictions WHERE model = %s AND event_ns <= %s AND event_ns >
                   coalesce((SELECT value::bigint FROM meta WHERE key = %s), -1) LIMIT 1""",
            (model, watermark_ns - assumption.after_ns, assumed_through(model)),
        ):
            return 0, False
        with self._transaction() as db:
            return postgres_feedback.assume(db, model, assumption, watermark_ns, now_ns, limit)

    def release_labels(self, model: str, sources: Sequence[str]) -> int:
        """Labels in quarantine from these sources count after all. Returns how many."""
        if not self._rows("SELECT 1 FROM labels WHERE state = 'quarantined' LIMIT 1"):
            return 0
        with self._transaction() as db:
            return postgres_feedback.release(db, model, sources)

    def join_labels(self, limit: int, told: Callable[[Sequence[LabelledCompletion]], None] | None = None) -> int:
        """Count waiting labels into outcome panes; returns how many were taken in. Cheap when none wait.

        ``told`` hears, after the commit, which of them are of language models' answers or have a trace.
        """
        if not self._rows("SELECT 1 WHERE EXISTS (SELECT 1 FROM labels WHERE state = 'pending') "
                          "OR EXISTS (SELECT 1 FROM labels WHERE state = 'ready')"):  # fmt: skip
            return 0
        with self._transaction() as db:
            joined = postgres_labels.join(db, limit, self._pending_after)
        self._pending_after = joined.looked_at
        if told is not None and joined.completions:
            told(joined.completions)
        return joined.labels

    def outcome_cells(self, model: str, first_day: int, last_day: int) -> list[OutcomeCell]:
        with self._reading() as db:
            return postgres_labels.cells(db, model, first_day, last_day)

    def label_slices(self, model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]:
        """(prediction day, age, labels), both ends included."""
        with self._reading() as db:
            return postgres_labels.slices(db, model, first_day, last_day)

    def label_scores(
        self, model: str, positive: str, first_day: int, last_day: int, part: Part | None = None
    ) -> LabelScores:
        """Labelled predictions by their score, both ends included."""
        with self._reading() as db:
            return postgres_outcomes.scores(db, model, positive, first_day, last_day, part)

    def answer_scores(self, model: str, first_day: int, last_day: int, part: Part | None = None) -> LabelScores:
        """As ``label_scores``, of the scores of the classes that were answered: positive are those that were right."""
        with self._reading() as db:
            return postgres_outcomes.answer_scores(db, model, first_day, last_day, part)

    def label_errors(self, model: str, first_day: int, last_day: int, part: Part | None = None) -> LabelErrors | None:
        """Errors of predictions that are a number, both ends included; None without any."""
        with self._reading() as db:
            return postgres_outcomes.errors(db, model, first_day, last_day, part)

    def weighted_cells(self, model: str, first_day: int, last_day: int) -> list[WeightedCell]:
        """Weights of labels, both ends included; none where every label weighs 1."""
        with self._reading() as db:
            return postgres_weights.cells(db, model, first_day, last_day)

    def weighted_scores(self, model: str, positive: str, first_day: int, last_day: int) -> LabelScores:
        """As ``label_scores``, weights in place of counts, in units of 2**-20."""
        with self._reading() as db:
            return postgres_weights.scores(db, model, positive, first_day, last_day)

    def weighted_errors(self, model: str, first_day: int, last_day: int) -> LabelErrors | None:
        """As ``label_errors``, sums by weight in units of 2**-20 (of any size); None where every label weighs 1."""
        with self._reading() as db:
            return postgres_weights.errors(db, model, first_day, last_day)

    def segment_cells(self, model: str, first_day: int, last_day: int) -> list[SegmentCell]:
        """Labels of predictions that have a segment, both ends included."""
        with self._reading() as db:
            return postgres_weights.segments(db, model, first_day, last_day)

    def unjudged_cells(self, model: str, closed_by: int) -> list[OutcomeCell]:
        """Signed counts of slices that close by Unix day ``closed_by`` and that no seal has marked as judged."""
        with self._reading() as db:
            return postgres_labels.unjudged(db, model, closed_by)

    def predictions_per_day(self, model: str, first_day: int, last_day: int) -> dict[int, int]:
        """Kept predictions by Unix day, both ends included."""
        return dict(
            self._rows(
                """SELECT day, sum(rows)::bigint FROM prediction_days WHERE model = %s AND day BETWEEN %s AND %s
                   GROUP BY day""",
                (model, first_day, last_day),
            )
        )

    # ------------------------------------------------------------ baselines

    def keep_baseline(self, held: HeldBaseline, document: str) -> None:
        """Durable on disk before it returns. One that is there already stays as it is."""
        with self._transaction() as db:
            postgres_baselines.keep(db, held, document)

    def move_baseline(self, held: HeldBaseline) -> None:
        """To another state. One that becomes active replaces the one that was."""
        with self._transaction() as db:
            postgres_baselines.move(db, held)

    def baselines(self, model: str | None = None) -> list[HeldBaseline]:
        """Newest first."""
        with self._reading() as db:
            return postgres_baselines.held(db, model)

    def baseline_document(self, model: str, baseline: str) -> str | None:
        rows = self._rows("SELECT document FROM baselines WHERE model = %s AND baseline = %s", (model, baseline))
        return str(rows[0][0]) if rows else None

    def sample(self, model: str, since_ns: int, rows: int) -> list[SampledRow]:
        """At most ``rows`` kept predictions since then, ascending in time: which ones is decided by their ids alone, so
        that every part of the time and every process has its share."""
        with self._reading() as db:
            return postgres_baselines.sample(db, model, since_ns, rows)

    # ------------------------------------------------------------ retention

    def roll_up(self, model: str, before_minute: int) -> bool:
        """Make one pane (a version) of an hour's, the oldest hour before ``before_minute``. False: none is left."""
        with self._reading() as db:
            hour = postgres_retention.hour_to_roll(db, model, before_minute)
        if hour is None:
            return False
        first, end = hour * 60, hour * 60 + 60
        summed = summed_into(first, self.fleet_panes(model, first, end))
        with self._transaction() as db:
            write(db, "DELETE FROM fleet_panes WHERE model = %s AND minute >= %s AND minute < %s", (model, first, end))
            postgres_panes.write_fleet_panes(db, summed)
        return True

    def forget_predictions(self, model: str, before_ns: int, limit: int) -> int:
        """Predictions whose event lies before ``before_ns``, oldest first, with their labels. Returns how many."""
        with self._transaction() as db:
            return postgres_retention.forget_predictions(db, model, before_ns, limit)

    def forget_pending(self, before_ns: int, limit: int) -> int:
        """Labels received before ``before_ns`` whose prediction never came. Returns how many."""
        with self._transaction() as db:
            return postgres_retention.forget_pending(db, before_ns, limit)

    def forget_figures(self, model: str, keep: Keep, limit: int) -> int:
        """Curves, panes, outcome cells, incidents and outbox rows, at most ``limit`` of each. Returns how many."""
        with self._transaction() as db:
            return postgres_retention.forget_figures(db, model, keep, limit)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        """Predictions and their labels. Their tables are then written anew, for a deleted row lies in its page until
        that is used again. The server's log of changes, its archives and backups keep it as long as they are kept.

        Counts stay: they name nobody.
        """
        with self._transaction() as db:
            erased = postgres_retention.erase(db, ids, aliases)
        with self._writing() as db, without_time_limit(db):
            for table in ("predictions", "labels"):
                write(db, f"VACUUM FULL {table}")
        return erased


@contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(
            f"the store failed ({type(error).__name__})",
            code="store_failed",
            hint="Check that the database runs and has space.",
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
