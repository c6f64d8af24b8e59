import bisect
import random
from typing import Any

import numpy as np

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.aggregate.traffic import (
    SMALL_BYTES,
    all_fine,
    by_minute,
    decoded_versions,
    times_of,
    without_large_bodies,
)
from mlmon_sidecar.records import MINUTE_NS, End, Exchange
from mlmon_sidecar.statistics.layout import DURATION_EDGES, Layout

LAYOUT = Layout.bare("m")
CELLS = LAYOUT.traffic


def exchange(name: str, **changes: Any) -> Exchange:
    fields: dict[str, Any] = dict.fromkeys(Exchange._fields, ())
    fields |= {"prediction_id": name, "started_ns": 0, "first_byte_ns": 0, "ended_ns": 0, "status": 200}
    fields |= {"end": End.COMPLETE, "request_bytes": 0, "response_bytes": 0}
    return Exchange(**{**fields, **changes})


def with_version(members: list[Exchange], versions: dict[str, str]) -> dict[str | None, list[Exchange]]:
    found: dict[str | None, list[Exchange]] = {}
    for member in members:
        found.setdefault(versions.get(member.prediction_id), []).append(member)
    return found


def builder() -> PaneBuilder:
    return PaneBuilder(LAYOUT, lambda name, token: token)


def test_outcomes_exclude_each_other() -> None:
    gone, raised = {"end": End.DISCONNECT, "status": 200}, {"end": End.ERROR, "status": 200}
    cases = [*({"status": s} for s in (200, 204, 302, 399, 400, 499, 500, 599, 0)), gone, raised]
    members = [exchange(str(at), **case) for at, case in enumerate(cases)]
    panes = builder()
    panes.add_exchanges(with_version(members, {"0": "v1"}), "v1", lambda ns: ns)
    (pane,) = panes.take()
    outcomes = [CELLS.ok, CELLS.client_error, CELLS.server_error, CELLS.aborted]
    assert pane.vector[outcomes].tolist() == [4, 2, 4, 1]
    assert pane.vector[CELLS.requests] == len(members)
    assert pane.vector[CELLS.decoded] == 1
    assert pane.vector[CELLS.rows] == 0


def test_times_and_bytes_against_a_recount() -> None:
    dice = random.Random(1)
    ends = [round(edge * 1e9) + off for edge in DURATION_EDGES for off in (-1, 0, 1)]
    ends += [dice.randrange(10**11) for _ in range(200)]
    members = [
        exchange(str(at), started_ns=50, first_byte_ns=50 + end // 2 if at % 3 else 0, ended_ns=50 + end,
                 request_bytes=at, response_bytes=2 * at)
        for at, end in enumerate(ends)
    ]  # fmt: skip
    panes = builder()
    panes.add_exchanges(with_version(members, {}), "unversioned", lambda ns: ns)
    (pane,) = panes.take()
    for bins, total, times in (
        (CELLS.duration, CELLS.duration_us, ends),
        (CELLS.first_byte, CELLS.first_byte_us, [end // 2 for at, end in enumerate(ends) if at % 3]),
    ):
        expected = [0] * (len(DURATION_EDGES) + 1)
        for time in times:
            expected[bisect.bisect_left(DURATION_EDGES, time / 1e9)] += 1
        assert pane.vector[bins].tolist() == expected
        assert pane.vector[total] == sum(time // 1000 for time in times)
    assert pane.vector[CELLS.request_bytes] == sum(range(len(ends)))
    assert pane.vector[CELLS.response_bytes] == 2 * sum(range(len(ends)))


def test_minute_and_version_of_each(make_batch: Any) -> None:
    batch = make_batch([{"features": {}, "event_ns": 0}, {"features": {}, "event_ns": 2 * MINUTE_NS}], "v7")
    object.__setattr__(batch, "prediction_ids", ["a/0", "a/1"])
    members = [exchange("a"), exchange("b"), exchange("c", started_ns=MINUTE_NS, ended_ns=2 * MINUTE_NS)]
    versions = decoded_versions([batch])
    assert versions == {"a": "v7"}
    panes = builder()
    panes.add_exchanges(with_version(members, versions), "unversioned", lambda ns: ns)
    panes.add_batch(batch)
    found = {pane.key[1::3]: pane.vector[[CELLS.requests, CELLS.decoded, CELLS.rows]].tolist() for pane in panes.take()}
    assert found == {
        ("unversioned", 0): [1, 0, 0],
        ("unversioned", 1): [1, 0, 0],
        ("v7", 0): [1, 1, 1],
        ("v7", 2): [0, 0, 1],
    }


def test_any_order_and_split_gives_the_same_bytes() -> None:
    dice = random.Random(2)
    members = [
        exchange(str(at), started_ns=at * 10**9, ended_ns=at * 10**9 + dice.randrange(10**9), request_bytes=at)
        for at in range(300)
    ]
    whole = builder()
    whole.add_exchanges(with_version(members, {"5": "v1"}), "v0", lambda ns: ns)
    dice.shuffle(members)
    parts = builder()
    for at in range(0, 300, 17):
        parts.add_exchanges(with_version(members[at : at + 17], {"5": "v1"}), "v0", lambda ns: ns)
    for one, other in zip(whole.take(), parts.take(), strict=True):
        assert one.key == other.key
        assert np.array_equal(one.vector, other.vector)


def test_all_are_fine_or_one_is_not() -> None:
    fine = [exchange(str(status), status=status) for status in (200, 204, 302, 399)]
    assert all_fine(fine)
    others: list[dict[str, Any]] = [{"status": 0}, {"status": 400}, {"status": 500}, {"end": End.ERROR}]
    assert not any(all_fine([*fine, exchange("x", **changes)]) for changes in others)


def test_times_are_of_each() -> None:
    members = [exchange(str(at), started_ns=at, first_byte_ns=2 * at, ended_ns=3 * at) for at in range(5)]
    assert times_of(members).tolist() == [[factor * at for at in range(5)] for factor in (1, 2, 3)]


def test_minutes_are_told_apart_wherever_the_clock_stands() -> None:
    members = [exchange(str(at), started_ns=at * MINUTE_NS // 2) for at in (3, 0, 2, 1)]
    found = by_minute(members, lambda ns: ns + 5 * MINUTE_NS)
    assert {minute: [one.prediction_id for one in same] for minute, same in found.items()} == {
        6: ["3", "2"],
        5: ["0", "1"],
    }
    assert by_minute(members[1:2], lambda ns: ns) == {0: members[1:2]}


def test_only_small_bodies_stay() -> None:
    small = [exchange(str(at), request_body=(b"x",), request_bytes=1) for at in range(3)]
    assert without_large_bodies(small) is small
    large = exchange("large", request_body=(b"x",), request_bytes=SMALL_BYTES, response_bytes=1)
    assert [one.request_body for one in without_large_bodies([*small, large])] == [(b"x",)] * 3 + [()]
    told = exchange("told", request_body=(b"x",), request_bytes=1, annotations=("said",))
    assert without_large_bodies([told])[0].annotations == ()
    assert list(without_large_bodies([])) == []
