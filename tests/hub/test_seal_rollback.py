"""A seal that was evaluated and not committed leaves nothing behind: not in the store, not in the hub's memory.

Every hub here takes in the same flushes; one of them is disturbed, and has to end with the bytes of the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fixed_rows import FIRST_MINUTE, MODEL, Sealed, columns_of, make_baseline, make_rows, of_version, read_sealed

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import Flush, Pane, RedactedRows, Window
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.samples import INPUTS
from mlmon_sidecar.store.contract import ModelState, Seal
from mlmon_sidecar.store.sqlite import SqliteStore
from mlmon_sidecar.telemetry import Telemetry

TICKS = (55, 75, 140, 300)  # minutes up to which panes are there; the detector alarms in the second


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return make_baseline()


@pytest.fixture(scope="module")
def panes(baseline: Baseline) -> list[Pane]:
    options = DecodeOptions(MODEL, kind="binary", positive="yes", negative="no")
    builder = PaneBuilder(baseline.layout, Redactor().category)
    for version, rows in of_version(make_rows()):
        builder.add_batch(batch_from_columns(MODEL, now_ns=0, version=version, options=options, **columns_of(rows)))
    return builder.take()


class Faults:
    """What goes wrong with the next seal, once; and with the reading of the state after it."""

    def __init__(self) -> None:
        self.before_the_write = self.while_reading = False


class FaultyStore(SqliteStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.faults = Faults()

    def seal(self, seal: Seal) -> None:
        if self.faults.before_the_write:
            self.faults.before_the_write = False
            refuse()
        super().seal(seal)

    def model_state(self, model: str) -> ModelState | None:
        if self.faults.while_reading:
            self.faults.while_reading = False
            refuse()
        return super().model_state(model)


def open_hub(path: Path, baseline: Baseline) -> tuple[Hub, FaultyStore]:
    store = FaultyStore(path)
    return Hub(store, [ModelPlan(MODEL, baseline.layout, baseline)], SystemClock(), Telemetry()), store


def feed(hub: Hub, panes: list[Pane], seq: int) -> None:
    """The panes of one tick; the first flush registers."""
    first = 0 if seq == 0 else TICKS[seq - 1]
    chosen = tuple(pane for pane in panes if first <= pane.key.minute - FIRST_MINUTE < TICKS[seq])
    through = {MODEL: FIRST_MINUTE + TICKS[seq] - 1}
    hub.flush(Flush("recorder", seq + 1, chosen, RedactedRows(), {}, through, 0))


@pytest.fixture(scope="module")
def undisturbed(baseline: Baseline, panes: list[Pane], tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    hub, store = open_hub(tmp_path_factory.mktemp("undisturbed") / "mlmon.db", baseline)
    for seq in range(len(TICKS)):
        feed(hub, panes, seq)
        hub.tick()
    hub.close()
    return read_sealed(store.path)


def refuse(*_: object) -> None:
    raise StoreError("injected", code="injected")


def told(window: Window | None) -> object:
    return window and (window.start_minute, window.end_minute, window.vector.tobytes(), window.samples.get(INPUTS))


def before_the_write(store: FaultyStore) -> None:
    store.faults.before_the_write = True


def before_the_write_and_while_the_state_is_read_back(store: FaultyStore) -> None:
    store.faults.before_the_write = store.faults.while_reading = True


def commit_rolled_back(store: FaultyStore) -> None:
    """As a full disk does it: COMMIT fails, and the transaction is gone."""

    def roll_back() -> bool:
        store._write.set_commit_hook(None)
        return True

    store._write.set_commit_hook(roll_back)


def commit_refused(store: FaultyStore) -> None:
    """COMMIT fails, and the transaction stays open: a deferred constraint that is broken once."""
    store._write.execute(
        """CREATE TABLE parent (id INTEGER PRIMARY KEY);
           CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
           CREATE TEMP TRIGGER injected AFTER INSERT ON fleet_panes BEGIN INSERT INTO child VALUES (1); END"""
    ).fetchall()


@pytest.mark.parametrize("seq", [0, 1])
@pytest.mark.parametrize(
    "disturb",
    [before_the_write, before_the_write_and_while_the_state_is_read_back, commit_rolled_back, commit_refused],
)
def test_a_seal_that_did_not_commit_is_made_again_with_the_same_bytes(
    disturb: Callable[[FaultyStore], None],
    seq: int,
    baseline: Baseline,
    panes: list[Pane],
    undisturbed: Sealed,
    tmp_path: Path,
) -> None:
    hub, store = open_hub(tmp_path / "disturbed.db", baseline)
    for at in range(len(TICKS)):
        feed(hub, panes, at)
        if at == seq:
            disturb(store)
            sealed = read_sealed(store.path)
            with pytest.raises((StoreError, apsw.ConstraintError)):
                hub.tick()
            assert read_sealed(store.path) == sealed, "half a seal"
            store._write.execute("DROP TRIGGER IF EXISTS injected").fetchall()
        hub.tick()
    hub.close()
    assert read_sealed(store.path) == undisturbed


def test_a_hub_that_starts_again_at_every_tick_goes_on_with_the_same_bytes(
    baseline: Baseline, panes: list[Pane], undisturbed: Sealed, tmp_path: Path
) -> None:
    path = tmp_path / "restarted.db"
    for seq in range(len(TICKS)):
        hub, _ = open_hub(path, baseline)
        feed(hub, panes, seq)
        hub.tick()
        evaluator = hub.evaluators()[0]
        before = evaluator._newest
        evaluator.reload()
        assert told(evaluator._newest.newest) == told(before.newest)
        assert told(evaluator._newest.identical) == told(before.identical)
        hub.close()
    assert read_sealed(path) == undisturbed


def test_a_provisional_incident_that_was_not_written_is_found_again(
    baseline: Baseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identical predictions page before their minute is sealed: opened and told once, whatever the first write did."""
    hub, store = open_hub(tmp_path / "mlmon.db", baseline)
    rows = [replace(row, minute=0, values={**row.values, "score": 0.9, "outcome": "yes"}) for row in make_rows()[:400]]
    options = DecodeOptions(MODEL, kind="binary", positive="yes", negative="no")
    builder = PaneBuilder(baseline.layout, Redactor().category)
    builder.add_batch(batch_from_columns(MODEL, now_ns=0, options=options, **columns_of(rows)))
    hub.flush(Flush("recorder", 1, tuple(builder.take()), RedactedRows(), {}, {MODEL: FIRST_MINUTE - 1}, 0))
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_incidents", refuse)
        with pytest.raises(StoreError):
            hub.tick()
    assert store.incidents() == []
    hub.tick()
    (incident,) = store.incidents()
    assert (incident.rule, incident.provisional, incident.opened_minute) == ("collapse", True, FIRST_MINUTE)
    hub.flush(Flush("recorder", 2, (), RedactedRows(), {}, {MODEL: FIRST_MINUTE}, 0))
    hub.tick()
    (incident,) = (each for each in store.incidents() if each.rule == "collapse")
    assert (incident.provisional, incident.opened_minute) == (False, FIRST_MINUTE)
    told_of = store._rows("SELECT transition FROM outbox WHERE incident_key = ?", (incident.key,))
    assert told_of == [("opened",)]
    hub.close()
