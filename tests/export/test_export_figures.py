"""What the catalogue does not know never gets through; what is no number becomes no point."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from mlmon_sidecar.export import figures as module
from mlmon_sidecar.export.catalog import FEATURE, MODEL_NAME, WINDOW
from mlmon_sidecar.export.figures import Buckets, Collector, Figures
from mlmon_sidecar.export.own import TelemetrySource
from mlmon_sidecar.records import Distribution, DropReason, Measurement
from mlmon_sidecar.telemetry import Telemetry

Figure = Measurement | Distribution


def collect(*given: Figure) -> tuple[Figures, dict[str, int]]:
    telemetry = Telemetry()
    return Collector([lambda: given], telemetry).collect(), dict(telemetry.snapshot())


def test_figures_of_the_catalogue_come_through() -> None:
    model = ((MODEL_NAME, "fraud"),)
    figures, counted = collect(
        Measurement("mlmon.predictions", 3, model),
        Measurement("mlmon.predictions", 4, ((MODEL_NAME, "churn"),)),
        Distribution("mlmon.prediction.duration", (0.1, 1.0), (1, 2, 3), 4.5, model),
    )
    assert figures == {
        "mlmon.predictions": {model: 3, ((MODEL_NAME, "churn"),): 4},
        "mlmon.prediction.duration": {model: Buckets((0.1, 1.0), (1, 2, 3), 4.5)},
    }
    assert not counted


def test_the_order_of_attributes_makes_no_new_series() -> None:
    one = Measurement("mlmon.feature.mean", 1.0, ((FEATURE, "age"), (WINDOW, "60m")))
    two = Measurement("mlmon.feature.mean", 2.0, ((WINDOW, "60m"), (FEATURE, "age")))
    figures, counted = collect(one, two)
    assert list(figures["mlmon.feature.mean"].values()) == [1.0]
    assert counted == {"errors.export.duplicate_series": 1}


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (Measurement("mlmon.surprise", 1), "unknown_metric"),
        (Measurement("mlmon.predictions", 1, (("customer.email", "a@b.example"),)), "unknown_attribute"),
        (Measurement("mlmon.prediction.duration", 1.0), "wrong_kind"),
        (Distribution("mlmon.predictions", (1.0,), (1, 2), 3.0), "wrong_kind"),
        (Distribution("mlmon.prediction.duration", (1.0,), (1, 2, 3), 3.0), "wrong_kind"),
    ],
)
def test_what_the_catalogue_has_no_place_for_is_counted_and_left_out(figure: Figure, reason: str) -> None:
    good = Measurement("mlmon.predictions", 7)
    figures, counted = collect(figure, good)
    assert figures == {"mlmon.predictions": {(): 7}}
    assert counted == {f"errors.export.{reason}": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_no_number_no_point(value: float) -> None:
    bad = Distribution("mlmon.prediction.duration", (1.0,), (1, 2), value)
    assert collect(Measurement("mlmon.feature.mean", value), bad) == ({}, {})


@pytest.mark.parametrize(
    ("value", "kind"), [(np.float64(1.5), float), (np.int64(3), float), (True, int), (1 << 70, float), (2, int)]
)
def test_numbers_become_plain_ones(value: float, kind: type) -> None:
    figures, _ = collect(Measurement("mlmon.feature.mean", value))
    assert type(figures["mlmon.feature.mean"][()]) is kind


def test_a_hostile_attribute_value_is_made_harmless() -> None:
    figures, _ = collect(Measurement("mlmon.feature.mean", 1.0, ((FEATURE, "a\x1b[31m\n\ud800" + "x" * 999),)))
    ((_, value),) = next(iter(figures["mlmon.feature.mean"]))
    assert value.isprintable() and len(value) == 256
    value.encode("utf-8")


def test_a_failing_source_costs_only_its_own_figures() -> None:
    telemetry = Telemetry()

    def broken() -> Sequence[Measurement]:
        raise RuntimeError("payload text")

    figures = Collector([broken, lambda: [Measurement("mlmon.predictions", 1)]], telemetry).collect()
    assert figures == {"mlmon.predictions": {(): 1}}
    assert telemetry.snapshot() == {"errors.export.RuntimeError": 1}


def test_own_counters_under_their_catalogue_names() -> None:
    telemetry = Telemetry()
    telemetry.dropped(2, DropReason.NOT_JSON)
    telemetry.rows_dropped(3, DropReason.NOT_JSON)
    telemetry.add("events.dropped.queue_full", 4)
    telemetry.add("redactions.email", 5)
    telemetry.failed("decode", ValueError())
    telemetry.add("export.failures.metrics.503", 6)
    telemetry.add("exchanges.accepted", 100)
    figures = Collector([TelemetrySource(telemetry)], telemetry).collect()

    def of(name: str) -> dict[tuple[str, ...], object]:
        return {tuple(value for _, value in key): count for key, count in figures[name].items()}

    assert of("mlmon.self.dropped") == {("exchange", "not_json"): 2, ("row", "not_json"): 3, ("event", "queue_full"): 4}
    assert of("mlmon.self.redactions") == {("email",): 5}
    assert of("mlmon.self.errors") == {("ValueError", "decode"): 1}
    assert of("mlmon.self.export.failures") == {("503", "metrics"): 6}
    assert set(telemetry.snapshot()) & {"errors.export.unknown_attribute", "errors.export.unknown_metric"} == set()


def test_attributes_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOLD", 3)
    given: list[Figure] = []
    collector = Collector([lambda: given], Telemetry())
    for round_ in range(3):
        given[:] = [Measurement("mlmon.predictions", at, ((MODEL_NAME, f"{round_}\n{at}"),)) for at in range(5)]
        for _ in range(2):
            assert collector.collect()["mlmon.predictions"] == {
                ((MODEL_NAME, f"{round_} {at}"),): at for at in range(5)
            }
        assert len(collector._told) <= 3


def test_attributes_of_one_metric_are_remembered_for_no_other() -> None:
    of_a_feature = ((FEATURE, "age"), (WINDOW, "60m"))
    figures, counted = collect(
        Measurement("mlmon.feature.mean", 1.0, of_a_feature), Measurement("mlmon.predictions", 1, of_a_feature)
    )
    assert list(figures) == ["mlmon.feature.mean"]
    assert counted == {"errors.export.unknown_attribute": 1}
