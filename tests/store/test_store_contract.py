"""One suite over every store: whole transactions, once each, in the order the contract promises."""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from store_parts import flush, incident, label, pane, row

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.records import FlushReceipt, FlushStatus, Layer, Pane, PaneKey
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.store.contract import ModelState, Point, Seal

Open = Callable[[], Store]


@pytest.fixture(name="open_again")
def _open_again(store_url: str) -> Iterator[Open]:
    """Opens the one store of this test, as often as it is asked to."""
    opened: list[Store] = []

    def open_it() -> Store:
        opened.append(open_store(store_url))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture(name="store")
def _store(open_again: Open) -> Store:
    store = open_again()
    store.take_over()
    return store


def seal(model: str = "m", watermark: int = 1, **parts: object) -> Seal:
    fields = {"consumed": (), "panes": (), "series": (), "incidents": (), **parts}
    return Seal(model=model, state=ModelState(watermark, b"\x00d", b"q", {"hour": 3}), **fields)  # type: ignore[arg-type]


def same(left: Pane, right: Pane) -> bool:
    return left.key == right.key and np.array_equal(left.vector, right.vector) and left.samples == right.samples


# ---------------------------------------------------------------- flushes


def test_a_flush_is_committed_once_with_all_it_holds(store: Store) -> None:
    assert store.commit_flush(flush(1), 5) == FlushReceipt(FlushStatus.COMMITTED, 0)
    full = flush(2, [pane(7)], [row("p1")], {"exchanges.accepted": 3}, through={"m": 6})
    assert store.commit_flush(full, 9) == FlushReceipt(FlushStatus.COMMITTED, 0)
    assert store.commit_flush(full, 11) == FlushReceipt(FlushStatus.DUPLICATE, 0)
    assert store.commit_flush(flush(1, [pane(8)], [row("p2")], {"x": 1}), 11).status is FlushStatus.DUPLICATE
    (stored,) = store.open_panes("m", 100, 100)
    assert same(stored.pane, pane(7))
    assert (store.stored_rows(), store.counters()) == (1, {"exchanges.accepted": 3})
    (recorder,) = store.recorders()
    assert recorder == ("r1", 2, 0, "host:7", 9, {"m": 6}, False)


def test_a_gap_is_counted_and_never_makes_later_flushes_duplicates(store: Store) -> None:
    store.commit_flush(flush(1), 0)
    assert store.commit_flush(flush(5, counters={"n": 1}), 0) == FlushReceipt(FlushStatus.COMMITTED, 3)
    assert store.commit_flush(flush(6, counters={"n": 1}), 0) == FlushReceipt(FlushStatus.COMMITTED, 0)
    assert store.commit_flush(flush(4, counters={"n": 1}), 0).status is FlushStatus.DUPLICATE
    assert store.recorders()[0].lost == 3
    assert store.counters() == {"n": 2}


def test_an_unknown_recorder_leaves_nothing_behind(store: Store) -> None:
    receipt = store.commit_flush(flush(2, [pane(1)], [row("p")], {"n": 1}), 0)
    assert receipt == FlushReceipt(FlushStatus.UNKNOWN_RECORDER, 0)
    assert (store.recorders(), store.open_models(), store.stored_rows(), store.counters()) == ([], {}, 0, {})


def test_counters_add_over_recorders_and_a_closing_flush_closes(store: Store) -> None:
    store.commit_flush(flush(1, counters={"a": 1, "b": 2}), 0)
    store.commit_flush(flush(1, counters={"b": 40}, recorder="r2"), 0)
    store.commit_flush(flush(2, closing=True), 0)
    assert store.counters() == {"a": 1, "b": 42}
    assert {r.recorder_id: r.closed for r in store.recorders()} == {"r1": True, "r2": False}


def test_forgotten_recorders_are_unknown(store: Store) -> None:
    store.commit_flush(flush(1), 10)
    store.commit_flush(flush(1, recorder="r2"), 20)
    assert store.forget_recorders(20) == 1
    assert [r.recorder_id for r in store.recorders()] == ["r2"]
    assert store.commit_flush(flush(2), 30).status is FlushStatus.UNKNOWN_RECORDER


def test_a_prediction_is_kept_once_whoever_sends_it(store: Store) -> None:
    store.commit_flush(flush(1, rows=[row("p", event_ns=60_000_000_000)]), 0)
    store.commit_flush(flush(1, rows=[row("p"), row("q", version="v2", event_ns=120_000_000_000)], recorder="r2"), 0)
    assert store.stored_rows() == 2
    assert store.versions("m") == [("v2", 1, 2), ("v1", 1, 1)]
    assert store.versions("other") == []


def test_predictions_are_counted_by_the_day(store: Store) -> None:
    day = 86_400 * 1_000_000_000
    times = [2 * day - 1, 2 * day, 3 * day - 1, 3 * day, 5 * day]
    store.commit_flush(flush(1, rows=[row(str(at), event_ns=at) for at in times]), 0)
    assert store.predictions_per_day("m", 2, 3) == {2: 2, 3: 1}
    assert store.predictions_per_day("other", 0, 9) == {}


# ---------------------------------------------------------------- panes


def test_open_panes_come_oldest_first_and_by_whole_minutes(store: Store) -> None:
    panes = [pane(m, model="m", version=v) for m, v in itertools.product((9, 3, 5), ("v2", "v1"))]
    store.commit_flush(flush(1, [*panes, pane(1, model="n")]), 0)
    store.commit_flush(flush(1, [pane(3)], recorder="r2"), 0)
    assert store.open_models() == {"m": 9, "n": 1}

    def minutes(through: int, limit: int) -> list[tuple[int, str]]:
        return [(item.pane.key.minute, item.pane.key.version) for item in store.open_panes("m", through, limit)]

    first = [(3, "v1"), (3, "v1"), (3, "v2")]
    assert minutes(9, 1) == first
    assert minutes(4, 10) == first
    assert minutes(9, 2) == [*first, (5, "v1"), (5, "v2")]
    assert len(minutes(9, 10)) == 7
    assert minutes(2, 10) == []


def test_fleet_panes_span_a_half_open_range(store: Store) -> None:
    panes = [pane(m, m, 10 * m, layout=lay) for m in (4, 2, 3) for lay in ("l2", "l1")]
    store.seal(seal(panes=panes))
    found = store.fleet_panes("m", 2, 4)
    assert [(p.key.minute, p.key.layout) for p in found] == [(2, "l1"), (2, "l2"), (3, "l1"), (3, "l2")]
    assert all(same(p, pane(p.key.minute, p.key.minute, 10 * p.key.minute, layout=p.key.layout)) for p in found)
    store.seal(seal(panes=[pane(2, 7, 7, layout="l1")]))
    assert same(store.fleet_panes("m", 2, 3)[0], pane(2, 7, 7, layout="l1"))
    assert store.fleet_panes("n", 0, 9) == []


# ---------------------------------------------------------------- seals


def test_a_seal_writes_everything_and_takes_only_what_it_summed(store: Store) -> None:
    assert store.model_state("m") is None
    store.commit_flush(flush(1, [pane(1), pane(2)]), 0)
    consumed = [item.pane_id for item in store.open_panes("m", 1, 9)]
    store.commit_flush(flush(2, [pane(1)]), 0)  # arrives while the seal is prepared
    points = [Point("requests", "", 1, 2.0)]
    store.seal(seal(consumed=consumed, panes=[pane(1)], series=points, incidents=[(incident(1), "opened", 1)]))
    assert [item.pane.key.minute for item in store.open_panes("m", 9, 9)] == [1, 2]
    assert store.model_state("m") == ModelState(1, b"\x00d", b"q", {"hour": 3})
    assert store.series("m", "requests", "", 0) == points
    assert store.incidents() == [incident(1)]
    assert [(key, move) for _, key, move, _ in store.outbox(0)] == [("m:collapse:1", "opened")]


def test_a_seal_that_says_nothing_of_segments_leaves_their_state(store: Store) -> None:
    for watermark, said, kept in ((1, None, None), (2, b"a\x00", b"a\x00"), (3, None, b"a\x00"), (4, b"b", b"b")):
        store.seal(Seal("m", (), (), ModelState(watermark, b"d", b"q", {}, said), (), ()))
        assert store.model_state("m") == ModelState(watermark, b"d", b"q", {}, kept)


@pytest.mark.parametrize(
    "broken",
    [
        {"series": [Point("requests", "", 1, None)]},  # type: ignore[arg-type]  # a column that may not be empty
        {"incidents": [(incident(1), "opened", 1), (replace(incident(2), summary=None), "opened", 2)]},  # type: ignore[arg-type]  # the same
    ],
)
def test_a_seal_that_fails_leaves_nothing(store: Store, broken: dict[str, object]) -> None:
    store.commit_flush(flush(1, [pane(1)]), 0)
    parts = {
        "consumed": [item.pane_id for item in store.open_panes("m", 9, 9)],
        "panes": [pane(1)],
        "series": [Point("p95_ms", "", 1, 1.0)],
        "incidents": [(incident(2), "opened", 2)],
    }
    with pytest.raises(StoreError):
        store.seal(seal(**{**parts, **broken}))
    assert len(store.open_panes("m", 9, 9)) == 1
    assert (store.fleet_panes("m", 0, 9), store.model_state("m"), store.incidents(), store.outbox(0)) == (
        [],
        None,
        [],
        [],
    )
    assert store.series("m", "p95_ms", "", 0) == []
    store.seal(seal(**parts))
    assert store.open_models() == {}


def test_series_give_the_newest_points_in_time_order(store: Store) -> None:
    points = [Point("drift_score", name, minute, minute / 8) for minute in range(6) for name in ("a", "b")]
    store.seal(seal(series=points))
    store.seal(seal(series=[Point("drift_score", "a", 5, 9.0)]))
    assert store.series("m", "drift_score", "a", 3) == [
        Point("drift_score", "a", 3, 0.375), Point("drift_score", "a", 4, 0.5), Point("drift_score", "a", 5, 9.0)
    ]  # fmt: skip
    assert [p.at_minute for p in store.series("m", "drift_score", "b", 0, limit=2)] == [4, 5]
    assert store.series("m", "drift_score", "", 0) == store.series("n", "drift_score", "a", 0) == []


# ---------------------------------------------------------------- incidents and outbox


def test_incidents_come_back_as_they_went_in_newest_first(store: Store) -> None:
    old, new = incident(3), incident(8, rule="null_rate")
    other = incident(5, model="n", resolved=6)
    store.write_incidents([(item, "", 0) for item in (old, new, other)])
    assert store.incidents() == [new, other, old]
    assert store.incidents("m") == [new, old]
    assert store.incidents(only_open=True) == [new, old]
    assert store.incidents(limit=1) == [new]
    assert type(store.incidents("n")[0].layer) is Layer
    ended = incident(3, resolved=4)
    store.write_incidents([(ended, "resolved", 4)])
    assert store.incidents("m") == [new, ended]
    assert store.outbox(0) == [(1, "m:collapse:3", "resolved", 4)]


def test_the_outbox_keeps_what_was_not_delivered_and_tells_no_transition_twice(open_again: Open) -> None:
    store = open_again()
    store.take_over()
    item = incident(3)
    store.write_incidents([(item, "opened", 3), (item, "opened", 3), (item, "raised", 4), (item, "", 5)])
    first, second = store.outbox(0)
    assert [first[1:], second[1:]] == [("m:collapse:3", "opened", 3), ("m:collapse:3", "raised", 4)]
    assert store.outbox(first[0]) == [second]
    assert store.outbox(0, limit=1) == [first]
    store.mark_delivered([first[0]])
    store.close()
    assert open_again().outbox(0) == [second]


def test_incidents_are_found_by_key_however_many_are_newer(store: Store) -> None:
    store.write_incidents([(incident(minute), "", minute) for minute in range(1_200)])
    found = store.incidents_of({"m:collapse:0", "m:collapse:1199", "m:collapse:5000"})
    assert sorted(item.opened_minute for item in found) == [0, 1_199]


# ---------------------------------------------------------------- fence, schema, files


def test_the_hub_that_was_taken_over_writes_nothing_more(store: Store, open_again: Open) -> None:
    store.commit_flush(flush(1), 0)
    store.commit_labels([label("p", "yes")], 0)
    second = open_again()
    second.take_over()
    writes: list[Callable[[], object]] = [
        lambda: store.commit_flush(flush(2, [pane(1)]), 0),
        lambda: store.seal(seal()),
        lambda: store.write_incidents([(incident(1), "opened", 1)]),
        lambda: store.save_layout("l", "m", {}),
        lambda: store.mark_delivered([1]),
        lambda: store.forget_recorders(99),
        lambda: store.commit_labels([label("p", "no")], 0),
        lambda: store.join_labels(10),
    ]
    for write in writes:
        with pytest.raises(StoreError) as failure:
            write()
        assert failure.value.code == "fenced"
    assert second.commit_flush(flush(2), 0).status is FlushStatus.COMMITTED
    assert (second.open_models(), second.incidents(), len(second.recorders())) == ({}, [], 1)


def test_a_store_that_was_not_taken_over_is_read_only(open_again: Open, store: Store) -> None:
    store.commit_flush(flush(1, counters={"n": 1}), 0)
    reader = open_again()
    assert reader.counters() == {"n": 1}
    with pytest.raises(StoreError, match="fenced"):
        reader.commit_flush(flush(2), 0)


def test_what_was_written_is_there_after_opening_again(open_again: Open) -> None:
    store = open_again()
    store.take_over()
    assert store.schema_version >= 1
    store.commit_flush(flush(1, [pane(4)], [row("p")], {"n": 2}), 0)
    store.close()
    again = open_again()
    assert (again.open_models(), again.stored_rows(), again.counters()) == ({"m": 4}, 1, {"n": 2})


def test_a_layout_is_saved_once(store: Store) -> None:
    store.save_layout("l", "m", {"features": ["a"]})
    store.save_layout("l", "m", {"features": ["b"]})
    assert store._rows("SELECT * FROM layouts") == [("l", "m", '{"features":["a"]}')]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- threads


def test_readers_never_see_half_a_flush(store: Store) -> None:
    """Every flush adds one pane, one row and one to a counter; a reader sees no counter beyond the rows."""
    flushes, recorders, wrong = 40, 4, []
    store.commit_flush(flush(1, recorder="zero"), 0)
    done = threading.Event()

    def write(recorder: str) -> None:
        for seq in range(1, flushes + 1):
            store.commit_flush(flush(seq, [pane(seq)], [row(f"{recorder}{seq}")], {"n": 1}, recorder=recorder), seq)

    def read() -> None:
        while not done.is_set():
            counted = store.counters().get("n", 0)
            if store.stored_rows() < counted:
                wrong.append(counted)

    writers = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(recorders)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    for thread in readers:
        thread.join(60)
    assert not any(thread.is_alive() for thread in [*readers, *writers])
    assert wrong == []
    assert store.counters() == {"n": flushes * recorders} and store.stored_rows() == flushes * recorders
    assert len(store.open_panes("m", 1_000, 1_000)) == flushes * recorders
    assert all(r.lost == 0 for r in store.recorders())


# ---------------------------------------------------------------- only SQLite


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://host/x.db", "sqlite:///", "mlmon.db"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(StoreError) as failure:
        open_store(url)
    assert failure.value.code == "store_scheme"


def test_a_closed_store_says_so(open_again: Open) -> None:
    store = open_again()
    store.close()
    with pytest.raises(StoreError):
        store.counters()
    with pytest.raises(StoreError):
        store.take_over()


def test_panes_of_every_key_survive_text_of_any_kind(store: Store) -> None:
    odd = Pane(PaneKey('m"\n', "v'; DROP TABLE open_panes --", "sé\u2028g", "l", 5), np.array([-1, 2**62], np.int64))
    store.commit_flush(flush(1, [odd]), 0)
    (stored,) = store.open_panes('m"\n', 9, 9)
    assert same(stored.pane, odd)
