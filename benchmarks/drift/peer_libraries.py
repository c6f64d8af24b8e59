"""Monitoring libraries as peers, each imported where it is asked for: they do not fit into one environment.

A verdict gets baseline rows and monitored hours of each column (without missing values), and says of each hour whether
the library would alarm. All run as they are by default.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Verdict = Callable[[list[Array], list[list[Array]]], Iterator[bool]]

SAMPLE = 2000  # rows of the baseline that a test of two samples is given
FIRST_DAY, MONITORED_DAY = "2024-01-01", "2024-06-01"  # NannyML wants times


def adwin() -> Verdict:
    """river's, one a column, fed the rows in order."""
    from river import drift

    return _by_row(lambda: drift.ADWIN())


def kswin() -> Verdict:
    """The same. A millisecond a row."""
    from river import drift

    return _by_row(lambda: drift.KSWIN(seed=1))


def alibi_detect() -> Verdict:
    """``KSDrift`` over all columns of an hour at p < .05, with the correction it makes by itself (Bonferroni)."""
    warnings.simplefilter("ignore")  # of the library's own, at import
    from alibi_detect.cd import KSDrift

    def verdict(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
        samples = [rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE] for rows in reference]
        detector = KSDrift(_complete(samples), p_val=0.05)
        for columns in zip(*hours, strict=False):
            yield bool(detector.predict(_complete(columns))["data"]["is_drift"])

    return verdict


def evidently() -> Verdict:
    """``DataDriftPreset`` of each hour against the baseline's sample: it says drift of some column."""
    warnings.simplefilter("ignore")  # of the library's own, at import and in each report
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    def verdict(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
        samples = [rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE] for rows in reference]
        before = Dataset.from_pandas(frame(samples))
        for columns in zip(*hours, strict=False):
            told = Report([DataDriftPreset()]).run(Dataset.from_pandas(frame(columns)), before).dict()
            yield bool(told["metrics"][0]["value"]["count"])

    return verdict


def nannyml() -> Verdict:
    """``UnivariateDriftCalculator`` by the hour (Jensen-Shannon, three standard deviations of the baseline's hours)."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # it would call home

    warnings.simplefilter("ignore")  # of the library's own
    import nannyml as library
    import pandas as pd

    def verdict(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
        names = [f"x{at}" for at in range(len(reference))]
        calculator = library.UnivariateDriftCalculator(names, timestamp_column_name="at", chunk_period="h")
        an_hour = sum(map(len, hours[0])) / len(hours[0])
        passed = np.arange(max(map(len, reference))) / an_hour  # the baseline's rows stand in their order
        calculator.fit(frame(reference).assign(at=pd.Timestamp(FIRST_DAY) + pd.to_timedelta(passed, unit="h")))
        parts = [frame(columns) for columns in zip(*hours, strict=False)]
        start = pd.Timestamp(MONITORED_DAY)
        timed = [part.assign(at=start + pd.Timedelta(hours=hour)) for hour, part in enumerate(parts)]
        found = calculator.calculate(pd.concat(timed)).filter(period="analysis").to_df()
        yield from map(bool, found.xs("alert", axis=1, level=2).any(axis=1).tolist())

    return verdict


def frame(columns: Sequence[Array]) -> Any:
    """A table of columns of different lengths, the shorter ones filled up with missing values."""
    import pandas as pd

    rows = max(map(len, columns))
    padded = [np.pad(column.astype(float), (0, rows - len(column)), constant_values=np.nan) for column in columns]
    return pd.DataFrame({f"x{at}": column for at, column in enumerate(padded)})


def _complete(columns: Sequence[Array]) -> Array:
    """(rows, columns) without missing values: as many rows as the shortest column has."""
    rows = min(map(len, columns))
    return np.stack([column[:rows].astype(float) for column in columns], axis=1)


def _by_row(make: Callable[[], Any]) -> Verdict:
    def verdict(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
        detectors = [make() for _ in reference]
        for detector, rows in zip(detectors, reference, strict=True):
            for value in rows[-SAMPLE:].tolist():
                detector.update(value)
        for columns in zip(*hours, strict=False):
            found = False
            for detector, hour in zip(detectors, columns, strict=True):
                for value in hour.tolist():
                    detector.update(value)
                    found = found or detector.drift_detected
            yield found

    return verdict
