"""Fail every point of the compiled tap, one at a time: ``program FILE`` with the tap built for it (MLMON_TAP_INJECT).

Prints how many points each play has. A process of its own: a compiled module is loaded once.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
NAME = "mlmon_sidecar.capture._tap"
spec = importlib.util.spec_from_file_location(NAME, sys.argv[1])
assert spec is not None and spec.loader is not None
tap: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tap)
sys.modules[NAME] = tap
import mlmon_sidecar.capture  # noqa: E402

mlmon_sidecar.capture._tap = tap  # type: ignore[attr-defined]

from conftest import _http_scope, _monitored  # noqa: E402
from test_every_point import PLAYS, Spans, Theirs, app_that, outcome, run  # noqa: E402

from mlmon_sidecar import MonitorMiddleware  # noqa: E402
from mlmon_sidecar.capture.exchange_tap import CURRENT, ExchangeTap, PureExchangeTap  # noqa: E402

assert ExchangeTap is not PureExchangeTap
assert Theirs


def play(name: str, mount: Any) -> tuple[Any, Any]:
    steps, incoming, more = PLAYS[name]
    scope = _http_scope(**{key: value for key, value in more.items() if key != "refuse"})
    app = app_that(*[type(step)(*step.args) if isinstance(step, BaseException) else step for step in steps])
    mounted = app if mount is None else mount(app)
    sent, raised = run(app if mount is None else mounted.call, scope, incoming, more.get("refuse", -1), None)
    return mounted, outcome(sent, raised, app.seen)


MADE = MonitorMiddleware(None, model="fraud", store=f"sqlite:///{sys.argv[2]}/mlmon.db", strict=True, endpoints=None)  # type: ignore[arg-type]


def mounted_by_users(app: Any) -> Any:
    """What users mount, as after a start-up, with fresh counters."""
    process = MADE._process
    assert process is not None
    process._fresh()
    process.pid = os.getpid()
    MADE.app = app
    return SimpleNamespace(
        call=MADE, capture=process.capture, drained=lambda: process.handoff.drain(9), active=process.active
    )


def tapped(app: Any) -> Any:
    monitored = _monitored(app, span_hook=Spans())
    return SimpleNamespace(call=monitored, capture=monitored.capture, drained=monitored.drained, active=())


for name, mount in [(name, mount) for mount in (mounted_by_users, tapped) for name in PLAYS]:
    _, alone = play(name, None)
    tap.inject(-1)
    _, healthy = play(name, mount)
    assert healthy == alone, name
    points = tap.inject(-1)
    for target in range(points):
        tap.inject(target)
        mounted, got = play(name, mount)
        reached = tap.inject(-1)
        assert reached > target, (name, target, reached)
        assert got == alone, (name, target, got, alone)
        faults, stats = mounted.capture.faults, mounted.capture.handoff.stats()
        assert {error for _, error in faults.snapshot()} == {"ZeroDivisionError"}, (name, target, faults.snapshot())
        assert stats.items_in_queue == stats.accepted == len(mounted.drained()), (name, target)
        assert stats.accepted + faults.lost == 1, (name, target, stats, faults.lost)
        assert mounted.capture.handoff.stats().bytes_in_queue == 0
        assert CURRENT.get() is None
        assert not mounted.active
    print(name, points, sep=": ")
