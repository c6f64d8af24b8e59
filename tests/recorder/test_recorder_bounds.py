"""What a hostile version, a long history or a quiet consumer may cost."""

from dataclasses import replace

import numpy as np
import pytest
from test_recorder import Served, away, batch, exchange

from mlmon_sidecar.decode.selectors import Selector
from mlmon_sidecar.recorder import waiting
from mlmon_sidecar.recorder.minutes import EVENT_IDLE_NS
from mlmon_sidecar.recorder.versions import MAX_VERSIONS, OTHER_VERSION
from mlmon_sidecar.records import MINUTE_NS


def test_versions_beyond_the_cap_are_one_other_version() -> None:
    """The version may come from a header: a hundred thousand of them cost no more than a few dozen."""
    served = Served()
    model = served.recorder._stages._models["m"]
    served.recorder._stages._models["m"] = replace(
        model, decode=replace(model.decode, version=Selector.compile("header.x-model"))
    )
    for number in range(500):
        served.serve(exchange(number, request_headers=(
            (b"content-type", b"application/json"), (b"x-model", b"v%d" % number)
        )))  # fmt: skip
    served.drain()
    assert served.recorder.flush()
    panes = [pane for flush in served.hub.taken for pane in flush.panes]
    assert len({pane.key.version for pane in panes}) == len(panes) == MAX_VERSIONS + 1
    (other,) = [pane for pane in panes if pane.key.version == OTHER_VERSION]
    assert other.vector[0] == 500 - MAX_VERSIONS == served.hub.counters()["schema.version"]
    rows = [row for flush in served.hub.taken for row in flush.rows.rows]
    assert sum(row.version == OTHER_VERSION for row in rows) == 500 - MAX_VERSIONS
    assert served.hub.cell("rows") == 500
    assert len(served.recorder._totals) == MAX_VERSIONS + 1
    served.serve(exchange(1_000, request_headers=((b"content-type", b"application/json"), (b"x-model", b"v3"))))
    served.drain()
    served.recorder.flush()
    assert served.hub.taken[-1].rows.rows[0].version == "v3", "a known version stays known"


def test_a_year_of_rows_in_one_call_loses_no_pane_and_never_holds_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_PANES", 400)
    served = Served()
    held: list[int] = []
    take = served.hub.flush

    def noting(flush: object) -> object:
        held.append(served.recorder._stages.panes("m") + served.recorder._waiting.panes)
        return take(flush)  # type: ignore[arg-type]

    monkeypatch.setattr(served.hub, "flush", noting)
    rng = np.random.default_rng(2)
    whole = batch(5_000, step=7)
    shuffled = replace(whole, event_ns=rng.permutation(whole.event_ns))
    served.recorder.observe(shuffled)
    assert served.recorder.flush()
    assert served.hub.cell("rows") == 5_000
    panes = [pane for flush in served.hub.taken for pane in flush.panes]
    assert sorted(pane.key.minute for pane in panes) == sorted((whole.event_ns // MINUTE_NS).tolist())
    assert served.hub.counters().get("panes.dropped.hub_unreachable", 0) == 0
    assert max(held) <= 400
    times = {row.prediction_id: row.event_ns for flush in served.hub.taken for row in flush.rows.rows}
    assert [times[id_] for id_ in shuffled.prediction_ids] == shuffled.event_ns.tolist()


def test_panes_that_wait_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    size = served.recorder._stages._models["m"].layout.size
    monkeypatch.setattr(waiting, "MAX_PANE_BYTES", 100 * 8 * size)
    served.hub.failures = [away() for _ in range(2_000)]
    for minute in range(1_000):
        served.recorder.observe(batch(1, minute=minute))
        served.recorder.flush()
        held = served.recorder._stages.panes("m") + served.recorder._waiting.panes
        assert held <= 101
    served.hub.failures = []
    assert served.recorder.flush()
    kept = sum(len(flush.panes) for flush in served.hub.taken)
    assert kept + served.hub.counters()["panes.dropped.hub_unreachable"] == 1_000


def test_a_consumer_is_waited_for_when_it_begins_and_not_when_it_stays_quiet() -> None:
    served = Served()
    for name in ("m", "n"):
        served.recorder.expect_event_times(name)
    served.recorder.flush()
    assert served.hub.taken[-1].complete_through == {"m": -1, "n": -1}, "they begin"
    served.recorder.observe(batch(3, minute=40))
    served.recorder.flush()
    assert served.hub.taken[-1].complete_through == {"m": 39, "n": -1}
    served.clock.now_ns += EVENT_IDLE_NS
    served.recorder.flush()
    assert served.hub.taken[-1].complete_through == {}
    served.recorder.observe(batch(3, minute=41))
    served.recorder.flush()
    assert served.hub.taken[-1].complete_through == {"m": 40}
