"""Segments that move otherwise than the whole have wander of their own; those that do not, the shared one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.layout import Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.segment_indicators import segment_indicators
from mlmon_sidecar.statistics.segment_wander import learn_segment_wander, sampled
from mlmon_sidecar.statistics.segments import Dimension, SegmentSpace

EDGES = (-1.0, 0.0, 1.0)
LAYOUT = Layout(
    "m",
    (NumericFeature("x", EDGES, (0, 1, 2), -3.0, 3.0, 0.0, 1.0),),
    PredictionSpace("none"),
    segments=SegmentSpace((Dimension("place", ("A", "B")),), ("x",)),
)
SHARES = np.array([0.16, 0.34, 0.34, 0.16])
HOURS = 400
A, B = "@segments:place=A: x", "@segments:place=B: x"
RHYTHM = 0.15  # radians at each edge, by a wave of a day


def halves(moved: dict[str, float], rows: int = 100, hours: int = HOURS) -> list[np.ndarray]:
    """Half hours of both places; ``moved``: how far each follows the wave."""
    rng, cells = np.random.default_rng(3), LAYOUT.segment_cells
    found = []
    for half in range(2 * hours):
        vector = np.zeros(LAYOUT.size, np.int64)
        wave = RHYTHM * np.sin(2 * np.pi * (half // 2) / 24)
        for block in cells.blocks[:2]:
            angle = np.arcsin(np.sqrt(np.cumsum(SHARES)[:-1])) + moved.get(block.value, 0.0) * wave
            shares = np.diff(np.sin(np.clip(angle, 0, np.pi / 2)) ** 2, prepend=0.0, append=1.0)
            counts = rng.multinomial(rows, shares) * WEIGHT_UNIT
            alarm = LAYOUT.cells["x"].alarm
            vector[cells.span(block, alarm)] += counts
            vector[alarm] += counts
            for cell in (block.start + 1, LAYOUT.traffic.rows + 1):
                vector[cell] += rows * WEIGHT_UNIT
        found.append(vector)
    return found


def learned(seen: list[np.ndarray], *, follows: bool, tau: float = 0.0) -> tuple[Reference, dict[str, float]]:
    """The reference, ``x`` with the wave as its profile or without, and the wander that segments have by themselves."""
    start = LAYOUT.cells["x"].alarm.start
    hour = tuple((float(RHYTHM * np.sin(2 * np.pi * k / 24)),) * 3 for k in range(24))
    profile = {"x": UnitProfile((start, start + 1, start + 2), hour)} if follows else {}
    reference = Reference(LAYOUT.hash, "v", np.sum(seen, axis=0), hours=HOURS, tau={"x": tau}, profile=profile)
    watched = segment_indicators(LAYOUT, reference)
    telling = sampled(watched)
    own = learn_segment_wander(
        watched, telling, reference, np.arange(len(seen)),
        np.array([telling.hits.of_vector(v) for v in seen]), np.array([telling.totals.of_vector(v) for v in seen]),
    )  # fmt: skip
    return replace(reference, tau={**reference.tau, **own.tau}, profile={**profile, **own.profile}), dict(own.tau)


def test_segments_that_do_as_the_whole_have_nothing_of_their_own() -> None:
    assert learned(halves({}), follows=False)[1] == {}
    assert learned(halves({"A": 1.0, "B": 1.0}), follows=True)[1] == {}


def test_one_that_moves_by_itself_gets_the_wander_it_has() -> None:
    reference, own = learned(halves({"A": 1.0}), follows=False)
    assert list(own) == [A]
    spread = 2 * RHYTHM / np.sqrt(2)  # of the wave, in Cohen's h
    assert spread < own[A] < 2 * spread  # an upper bound
    these = segment_indicators(LAYOUT, reference).indicators
    wide, narrow = (these.tolerance[these.unit == these.index["segments", f"place={at}: x"]][0] for at in "AB")
    assert wide == pytest.approx(0.1 + 3 * np.sqrt(1 / (100 * 2 * HOURS) + own[A] ** 2))
    assert narrow < 0.15


def test_one_that_stands_still_while_the_whole_moves_has_no_profile() -> None:
    reference, own = learned(halves({"B": 1.0}), follows=True)
    assert list(own) == [A]
    assert own[A] < 0.05
    assert reference.profile[A] == UnitProfile()
    these = segment_indicators(LAYOUT, reference).indicators
    assert not these.offsets[:, these.unit == these.index["segments", "place=A: x"]].any()
    assert these.offsets[:, these.unit == these.index["segments", "place=B: x"]].any()


def test_what_the_whole_wanders_is_no_news() -> None:
    assert learned(halves({"A": 1.0}), follows=False, tau=0.4)[1] == {}


def test_few_hours_tell_nothing() -> None:
    assert learned(halves({"A": 1.0}, hours=90), follows=False)[1] == {}


def test_it_is_in_the_document() -> None:
    reference, _ = learned(halves({"B": 1.0}), follows=True)
    document = json.loads(json.dumps(Baseline(LAYOUT, reference).to_document()))
    read = Baseline.from_document(document).reference
    assert (read.tau, read.profile) == (reference.tau, reference.profile)
