"""Latency, errors, volume and silence against a learned week: found when wrong, quiet in three ordinary weeks."""

from collections.abc import Callable

import numpy as np
import pytest

from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.service_watch import ServiceWatch
from mlmon_sidecar.hub.windows import RecentWindows, Windows
from mlmon_sidecar.records import Finding, Tier
from mlmon_sidecar.statistics.indicators import BUDGET_RESERVE, OUTCOME_STREAM_WEIGHT, STREAM_WEIGHT
from mlmon_sidecar.statistics.layout import DURATION_EDGES, Layout
from mlmon_sidecar.statistics.service import (
    SERVICE_H,
    VOLUME_H,
    learn_service,
    service_indicators,
    slot_of,
    volume_counts,
)

LAYOUT = Layout.bare("m")
CELLS = LAYOUT.traffic
START = 24 * 60 * 20_452  # a Thursday
STEP = 10  # minutes a pane
DAY = 1440


def rate(minute: int) -> float:
    """Requests a minute: a day's rise and fall, half on weekends, nothing at night."""
    hour = minute // 60
    weekend = slot_of(hour) >= 24
    return max(0.0, 20 * np.sin(np.pi * ((hour % 24) - 5) / 18)) * (0.5 if weekend else 1.0)


class Service:
    """Feeds a watch as the hub's evaluator does."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.plan = ModelPlan("m", LAYOUT)
        self.watch = ServiceWatch(self.plan, None)
        self.windows = Windows("m", LAYOUT.size)
        self.minute = START
        self.hour = START // 60

    def pane(self, requests: int, slow: float, errors: float) -> np.ndarray:
        vector = np.zeros(LAYOUT.size, np.int64)
        times = self.rng.lognormal(np.log(0.04 * slow), 0.6, requests)
        vector[CELLS.duration] = np.bincount(np.searchsorted(DURATION_EDGES, times), minlength=len(DURATION_EDGES) + 1)
        failed = self.rng.binomial(requests, errors)
        vector[CELLS.requests], vector[CELLS.server_error], vector[CELLS.ok] = requests, failed, requests - failed
        return vector

    def run(
        self, days: float, *, slow: float = 1.0, errors: float = 0.002, volume: float = 1.0, resumed: bool = False
    ) -> list[Finding]:
        found: list[Finding] = []
        end = self.minute + int(days * DAY)
        while self.minute < end:
            requests = int(self.rng.poisson(rate(self.minute) * STEP * volume * self.rng.lognormal(0, 0.1)))
            if requests:
                found += self.take(self.pane(requests, slow, errors))
            self.minute += STEP
        return found

    def take(self, vector: np.ndarray) -> list[Finding]:
        if self.minute // 60 > self.hour:
            self.hour = self.minute // 60
            self.watch.turn(self.windows.by_hour, self.hour)
        self.windows.add(self.minute, vector, {})
        view = self.watch.take(vector, self.minute, late=False)
        context = CheckContext(
            "m", self.minute, LAYOUT, recent=RecentWindows(self.windows, self.minute), service=view,
            tolerance=self.watch.tolerance,
        )  # fmt: skip
        self.resolved = [name for check in CHECKS.values() for name in check.resolved(context)]
        self.ended = getattr(self, "ended", set()) | set(self.resolved)
        return [finding for check in CHECKS.values() for finding in check.evaluate(context)]


@pytest.fixture(scope="module")
def learned() -> Callable[[], Service]:
    first = Service(5)
    assert first.run(8) == []
    document, hours = first.watch.document, first.windows

    def again() -> Service:
        service = Service(6)
        service.watch, service.windows = ServiceWatch(service.plan, document), Windows("m", LAYOUT.size)
        for hour, vector in hours.by_hour.items():
            service.windows.add(hour * 60, vector, {})
        service.minute, service.hour = first.minute, first.hour
        return service

    return again


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ordinary_weeks_are_quiet(seed: int) -> None:
    service = Service(seed)
    assert service.run(28) == []
    assert service.watch.document["reference"] is not None


def test_nothing_is_said_before_a_week_is_known() -> None:
    service = Service(1)
    assert service.run(6, slow=1.0) + service.run(0.5, slow=10.0) == []
    assert service.watch.document["reference"] is None
    assert service.watch.silence(service.minute, service.minute + 600) is None


def test_slow_requests_are_told_with_their_quantiles(learned: Callable[[], Service]) -> None:
    (finding,) = learned().run(1, slow=2.5)
    assert (finding.rule, finding.tier, finding.features) == ("latency", Tier.P2, ("latency",))
    assert finding.details["p50_p95_reference"][0] == pytest.approx(0.04, abs=0.006)
    assert finding.details["p50_p95_current"][0] == pytest.approx(0.1, abs=0.02)
    assert finding.summary.startswith("requests take longer: p50 ")
    reference, current = (np.cumsum(finding.details[key]) for key in ("reference", "current"))
    moved = 2 * np.arcsin(np.sqrt(reference / reference[-1])) - 2 * np.arcsin(np.sqrt(current / current[-1]))
    assert SERVICE_H < finding.details["min_detectable_h"] < moved.max(), "what was found is more than the least"


def test_fast_requests_are_no_fault(learned: Callable[[], Service]) -> None:
    assert learned().run(1, slow=0.3) == []


def test_errors_are_told_with_their_share(learned: Callable[[], Service]) -> None:
    (finding,) = learned().run(1, errors=0.08)
    assert (finding.rule, finding.tier) == ("error_rate", Tier.P2)
    assert finding.value is not None and 0.01 < finding.value < 0.1
    assert finding.threshold == pytest.approx(0.002, abs=0.001)
    assert SERVICE_H < finding.details["min_detectable_h"] < 0.6


@pytest.mark.parametrize("volume", [5.0, 0.1])
def test_far_more_and_far_fewer_requests_are_told(learned: Callable[[], Service], volume: float) -> None:
    service = learned()
    (finding,) = service.run(1, volume=volume)
    assert (finding.rule, finding.tier) == ("volume", Tier.P3)
    assert finding.value is not None and finding.threshold is not None
    assert (finding.value > finding.threshold) is (volume > 1)
    assert VOLUME_H < finding.details["min_detectable_h"] < 1.2
    service.run(4)
    assert "requests" in service.ended


def test_twice_as_many_are_growth(learned: Callable[[], Service]) -> None:
    assert learned().run(2, volume=1.8) == []


def test_what_lasts_a_week_is_ordinary(learned: Callable[[], Service]) -> None:
    service = learned()
    assert [finding.rule for finding in service.run(16, slow=2.5)] == ["latency"]
    assert "latency" in service.ended


def test_the_watch_goes_on_from_its_document(learned: Callable[[], Service]) -> None:
    one, other = learned(), learned()
    one.run(0.5, slow=1.3)
    other.run(0.25, slow=1.3)
    other.watch = ServiceWatch(other.plan, other.watch.document)
    other.run(0.25, slow=1.3)
    assert one.watch.document == other.watch.document


def silent(service: Service, minutes: int) -> list[Finding]:
    view = service.watch.silence(service.minute, service.minute + minutes)
    context = CheckContext("m", service.minute + minutes, LAYOUT, service=view)
    return CHECKS["throughput_zero"].evaluate(context)


def test_silence_pages_by_day_and_not_by_night(learned: Callable[[], Service]) -> None:
    service = learned()
    noon = service.minute - service.minute % DAY + DAY + 12 * 60
    service.minute = noon
    assert silent(service, 4) == []
    (finding,) = silent(service, 60)
    assert (finding.tier, finding.features) == (Tier.P1, ("traffic",))
    assert finding.threshold == pytest.approx(sum(rate(noon + m) for m in range(1, 60)), rel=0.2)
    assert "no request for 59 min" in finding.summary
    service.minute = noon + 11 * 60 + 30
    assert silent(service, 5 * 60) == []


def test_an_hourly_job_is_no_surge_and_no_silence() -> None:
    service, found = Service(4), []
    while service.minute < START + 14 * DAY:
        found += service.take(service.pane(int(service.rng.poisson(900)), 1.0, 0.002))
        service.minute += 60
    assert found == []
    service.minute -= 60
    assert silent(service, 60) == []
    assert [finding.tier for finding in silent(service, 100)] == [Tier.P1]


def test_a_request_ends_the_silence(learned: Callable[[], Service]) -> None:
    service = learned()
    service.run(0.5)
    assert "traffic" in service.resolved


def test_the_profile_is_the_traffic_it_was_made_of() -> None:
    service = Service(9)
    service.run(7.2)
    reference = learn_service(LAYOUT, service.windows.by_hour, service.hour)
    assert reference is not None
    for day, hour in ((0, 12), (1, 9), (2, 14), (3, 2)):  # Thursday, Friday, Saturday, Sunday
        minute = START + day * DAY + hour * 60
        expected = sum(rate(minute + m) for m in range(60))
        assert reference.expected_between(minute, minute + 60) == pytest.approx(expected, rel=0.25, abs=1)
    assert reference.volume_deff > 1
    indicators = service_indicators(reference)
    assert {unit.stream for unit in indicators.units} <= STREAM_WEIGHT.keys()
    assert sum(STREAM_WEIGHT.values()) + sum(OUTCOME_STREAM_WEIGHT.values()) + BUDGET_RESERVE == pytest.approx(1)


@pytest.mark.parametrize("ratio", [0.36, 1.0, 2.75])
def test_poisson_counts_within_the_boundary_gain_nothing_on_average(ratio: float) -> None:
    """The likelihood ratio of every alternative has a mean of at most 1, here by sampling a million pairs."""
    service = Service(9)
    service.run(7.2)
    reference = learn_service(LAYOUT, service.windows.by_hour, service.hour)
    assert reference is not None
    these = service_indicators(reference)
    (volume,) = np.flatnonzero(these.unit == these.index[("volume", "requests")])
    expected, rng = 40.0, np.random.default_rng(3)
    x = rng.poisson(expected * ratio, 1_000_000)
    for bound, sign in ((these.lower[volume], -1), (these.upper[volume], 1)):
        q0, q = np.sin(bound) ** 2, np.sin(bound + sign * 0.05) ** 2
        gain = x * np.log(q / q0) + expected * np.log((1 - q) / (1 - q0))
        assert np.exp(gain).mean() <= 1.03
    assert volume_counts(3, 1.5)[-2:].tolist() == [3 * 1024, 4.5 * 1024]
