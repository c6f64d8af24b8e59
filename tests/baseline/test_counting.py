"""Half hours of a reference against a plain recount."""

import numpy as np

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.counting import HALF_HOUR_NS, count_all, count_half_hours
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.predictions import Judge
from mlmon_sidecar.baseline.rows import RowReader
from mlmon_sidecar.baseline.survey import survey
from mlmon_sidecar.baseline.tables import MemoryTable
from mlmon_sidecar.records import WEIGHT_UNIT
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import NumericFeature


def same(_column: str, token: str) -> str:
    return token


def reader_of(columns: dict[str, list[object]], roles: Roles) -> RowReader:
    table = MemoryTable(columns)
    return RowReader(table, survey(table, roles, Purpose("m"), 700, lambda part: None), roles, same, 700)


def test_every_half_hour_holds_its_own_rows() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=3000)
    times = np.sort(
        rng.choice(np.repeat([3, 4, 9, 10, 11, 40], 500) * HALF_HOUR_NS, 3000) + rng.integers(0, HALF_HOUR_NS, 3000)
    )
    columns: dict[str, list[object]] = {"x": values.tolist(), "at": times.tolist()}
    built = build_baseline(columns, Roles(timestamp="at"), Purpose("m"), redact_category=same, policy="", created="")
    reader = reader_of(columns, Roles(timestamp="at"))
    watched = indicators(built.layout, built.reference)
    halves = np.unique(times // HALF_HOUR_NS)
    found = count_half_hours(built.layout, reader, same, watched, halves, lambda part: None)
    feature = built.layout.feature("x")
    assert isinstance(feature, NumericFeature)
    assert found.half_hour.tolist() == [3, 4, 9, 10, 11, 40]
    for row, half_hour in enumerate(found.half_hour):
        here = values[times // HALF_HOUR_NS == half_hour]
        below = [int(np.sum(here <= feature.edges[at])) * WEIGHT_UNIT for at in feature.alarm]
        assert found.hits[row, :9].tolist() == below
        assert set(found.totals[row].tolist()) == {len(here) * WEIGHT_UNIT}
    vector = count_all(built.layout, reader, same, lambda part: None, Judge(built.layout.prediction))
    assert np.array_equal(vector, built.reference.vector)
