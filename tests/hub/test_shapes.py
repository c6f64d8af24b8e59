"""The shape of a drift: told with the alarm or when it has become clear, and kept over a restart."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hub_parts import START, Watched, traffic

ROWS = 300


def feed(watched: Watched, hours: range, shift: Callable[[int], float]) -> None:
    for hour in hours:
        minute = START + 60 * hour
        x = np.random.default_rng(1000 + hour).normal(size=ROWS) + shift(hour)
        watched.flush(traffic(minute, rows=ROWS, x=x.tolist()), through=minute)
        watched.hub.tick()


def drift(watched: Watched) -> Any:
    found = [i for i in watched.store.incidents("m", only_open=True) if i.rule == "feature_drift"]
    return found[0] if found else None


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_step_is_told_once_it_is_clear(watched: Watched) -> None:
    feed(watched, range(24), lambda _: 0.0)
    feed(watched, range(24, 25), lambda _: 1.0)
    opened = drift(watched)
    assert opened is not None and "shape" not in opened.details["features"]["x"]  # an hour is no shape
    assert "step" not in opened.summary
    watched.restart()
    feed(watched, range(25, 30), lambda _: 1.0)
    told = drift(watched)
    assert told.key == opened.key
    assert told.details["features"]["x"]["shape"] == "step"
    assert told.details["features"]["x"]["shape_from_minute"] == START + 24 * 60
    assert told.details["features"]["x"]["shape_nats"] > 4
    assert told.details["features"]["x"]["onset_minute"] == opened.details["features"]["x"]["onset_minute"]
    assert told.summary == opened.summary + ", in one step"


def test_a_ramp_is_told_with_its_alarm(watched: Watched) -> None:
    feed(watched, range(24), lambda _: 0.0)
    feed(watched, range(24, 96), lambda hour: 0.01 * (hour - 23))
    told = drift(watched)
    assert told.details["features"]["x"]["shape"] == "ramp"
    assert "(KS 0." in told.summary and told.summary.endswith(", gradually")
    alerts = [e for e in watched.told.events if e.name == "mlmon.alert"]
    assert len(alerts) == 1, "what becomes clear later is not told again"
