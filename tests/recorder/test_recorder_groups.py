"""Exchanges are worked on in groups; what comes out is what comes out of each by itself."""

from __future__ import annotations

from collections import Counter

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recorder import Served, exchange

from mlmon_sidecar.records import End, Exchange, KeptRow, PaneKey
from mlmon_sidecar.statistics.samples import merge_samples

HEADERS = ((b"content-type", b"application/json"),)
STORED = frozenset({"x", "town"})


def with_bodies(made: Exchange, request: bytes, response: bytes) -> Exchange:
    return made._replace(
        request_body=(request,), request_bytes=len(request), response_body=(response,), response_bytes=len(response)
    )


def made(kind: str, number: int) -> Exchange:
    one = exchange(number, ended_ns=(4 + 7 * number) * 10**9, model="mn"[number % 2])  # over several minutes
    if kind == "personal":
        return with_bodies(one, orjson.dumps({"x": number, "town": f"ann{number}@example.com"}), b'{"score":0.5}')
    if kind == "rows":
        rows = [{"x": number + at, "town": "Ulm"} for at in range(3)]
        return with_bodies(one, orjson.dumps({"instances": rows}), b'{"predictions":[0.1,0.2,0.3]}')
    if kind == "odd":
        return with_bodies(one, orjson.dumps({"x": "seven", "town": None, "y": [1, 2]}), b'{"score":"high"}')
    changes = {
        "good": {},
        "broken": {"request_body": (b"{",), "request_bytes": 1},
        "raised": {"end": End.ERROR, "status": 500, "error_type": "ValueError"},
        "left": {"end": End.DISCONNECT, "status": 0},
        "not found": {"status": 404},
    }
    return one._replace(**changes[kind])


def recorded(exchanges: list[Exchange], sizes: list[int]) -> tuple[object, list[KeptRow], Counter[str]]:
    """Panes, kept rows and counters of exchanges served in groups of these ``sizes``, the rest in one."""
    served, rest = Served(store_features=STORED), list(exchanges)
    for size in [*sizes, len(rest)]:
        served.serve(*rest[:size])
        del rest[:size]
        while served.recorder._stages.step():
            pass
        if size % 2:
            assert served.recorder.flush()
    assert served.recorder.flush()
    panes: dict[PaneKey, tuple[object, object]] = {}
    for flush in served.hub.taken:
        for pane in flush.panes:
            vector, samples = panes.get(pane.key, (0, {}))
            panes[pane.key] = vector + pane.vector, merge_samples(samples, pane.samples)  # type: ignore[operator,arg-type]
    rows = [row for flush in served.hub.taken for row in flush.rows.rows]
    as_bytes = {key: (vector.tobytes(), samples) for key, (vector, samples) in panes.items()}  # type: ignore[attr-defined]
    return as_bytes, sorted(rows), served.hub.counters()


KINDS = st.sampled_from(["good", "personal", "rows", "odd", "broken", "raised", "left", "not found"])


@settings(max_examples=40, deadline=None)
@given(st.lists(KINDS, max_size=24), st.lists(st.integers(1, 9), max_size=6))
def test_groups_of_any_size_give_what_each_exchange_gives_by_itself(kinds: list[str], sizes: list[int]) -> None:
    exchanges = [made(kind, number) for number, kind in enumerate(kinds)]
    grouped, alone = recorded(exchanges, sizes), recorded(exchanges, [1] * len(exchanges))
    assert grouped == alone
    counters = grouped[2]
    told = sum(count for name, count in counters.items() if name.startswith("exchanges.dropped."))
    assert counters["exchanges.accepted"] == len(kinds) == counters["exchanges.decoded"] + told


def test_one_bad_exchange_of_a_group_costs_itself_alone() -> None:
    kinds = ["good"] * 30 + ["broken"] + ["good"] * 30
    _, rows, counters = recorded([made(kind, number) for number, kind in enumerate(kinds)], [])
    assert {row.prediction_id for row in rows} == {f"p{number}" for number in range(61) if number != 30}
    assert (counters["exchanges.accepted"], counters["exchanges.decoded"]) == (61, 60)
