"""What other methods do with the same rows: false alarms and delay.

``python -m benchmarks.drift.peers [--features 50] [--days 30] [--streams iid,combined] [--methods KS,PSI]``

Imports only numpy, scipy and the library of a method that is named, so that it runs where the project does not: no one
environment holds all the libraries. Each method sees the baseline's 30 days and then every hour of the numeric
features; an alarm is an hour in which it says drift of any feature. It is told nothing of nulls or categories.

- *KS*: two-sample Kolmogorov-Smirnov (``scipy.stats.ks_2samp``) of the hour against 2,000 baseline rows, per column, at
  p < .05; with Bonferroni's correction over the columns; with Benjamini and Hochberg's (``false_discovery_control``).
- *PSI*: population stability index over baseline deciles above .2.
- *ADWIN*, *KSWIN* (river), *alibi-detect*, *Evidently*, *NannyML*: ``peer_libraries``. KSWIN takes most of a
  millisecond a row, a month of 50 features a working day, and Evidently about a second an hour of eight columns.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from benchmarks.drift import peer_libraries
from benchmarks.drift.peer_libraries import SAMPLE, Verdict
from benchmarks.drift.streams import DAY, STREAMS, Array, Drift, Stream, traffic

DECILES = np.arange(1, 10) / 10
LEAST_ROWS = 20  # hours of fewer are left out
SHIFT, ONSET_DAY = 0.5, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--streams", default="iid,combined")
    parser.add_argument("--methods", default="KS,PSI,ADWIN", help="by the first word of their names")
    said = parser.parse_args()
    words = said.methods.split(",")
    chosen = {name: make() for name, make in METHODS.items() if name.split()[0].rstrip(",") in words}
    for name in said.streams.split(","):
        print(f"{name:<12}{'hours with a false alarm':>28}{'hours to .5 sigma':>20}{'CPU s':>8}")
        for method, verdict in chosen.items():
            alarmed, total, delays, spent = 0, 0, [], 0.0
            for seed in range(1, said.seeds + 1):
                reference, quiet = _month(STREAMS[name], seed, said.features, said.days, None)
                began = time.process_time()
                alarms = list(verdict(reference, quiet))
                spent += time.process_time() - began
                alarmed, total = alarmed + sum(alarms), total + len(alarms)
                _, drifted = _month(STREAMS[name], seed, said.features, said.days, SHIFT)
                delays.append(_delay(verdict, reference, drifted))
            found = f"{statistics.median(delays):.3g}"
            print(f"  {method:<22}{alarmed:>8} of {total:<6}{found:>20}{spent:>8.1f}", flush=True)


def _month(
    stream: Stream, seed: int, features: int, days: int, shift: float | None
) -> tuple[list[Array], list[list[Array]]]:
    """Baseline rows of each numeric feature, and their monitored hours; the drifted twin has only its first feature."""
    seen, start = traffic(stream, seed, 2 * days), days * DAY
    moved = None if shift is None else Drift(start + ONSET_DAY * DAY, 0, shift=shift)
    first = int(np.searchsorted(seen.minute, start))
    bounds = np.searchsorted(seen.minute, np.arange(start, seen.minutes + 1, 60))
    reference, hours = [], []
    for feature in range(features if shift is None else 1):
        if seen.is_categorical(feature):
            continue
        values, missing = seen.values(feature, moved)
        reference.append(values[:first][~missing[:first]])
        cut = [values[a:b][~missing[a:b]] for a, b in itertools.pairwise(bounds)]
        hours.append([hour for hour in cut if len(hour) >= LEAST_ROWS])
    return reference, hours


def _delay(verdict: Verdict, reference: list[Array], drifted: list[list[Array]]) -> float:
    """Hours from the onset to the first alarm about the drifted column; alarms before it do not count."""
    alarms = verdict(reference[:1], drifted)
    onset = ONSET_DAY * 24
    return next((float(hour + 1 - onset) for hour, alarm in enumerate(alarms) if hour >= onset and alarm), float("inf"))


def _p_values(reference: list[Array], hours: list[list[Array]]) -> Iterator[Array]:
    samples = [np.sort(rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]) for rows in reference]
    for columns in zip(*hours, strict=False):
        pairs = zip(samples, columns, strict=True)
        yield np.array([stats.ks_2samp(sample, hour, method="asymp").pvalue for sample, hour in pairs])


def _ks(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
    return (bool((p < 0.05).any()) for p in _p_values(reference, hours))


def _bonferroni(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
    return (bool((p < 0.05 / len(p)).any()) for p in _p_values(reference, hours))


def _benjamini_hochberg(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
    return (bool((stats.false_discovery_control(p) < 0.05).any()) for p in _p_values(reference, hours))


def _psi(reference: list[Array], hours: list[list[Array]]) -> Iterator[bool]:
    edges = [np.quantile(rows, DECILES) for rows in reference]
    for columns in zip(*hours, strict=False):
        worst = 0.0
        for cuts, hour in zip(edges, columns, strict=True):
            share = np.bincount(cuts.searchsorted(hour), minlength=10) / len(hour)
            share = np.maximum(share, 1e-4)
            worst = max(worst, float(((share - 0.1) * np.log(share / 0.1)).sum()))
        yield worst > 0.2


METHODS: dict[str, Callable[[], Verdict]] = {
    "KS p < .05": lambda: _ks,
    "KS, Bonferroni": lambda: _bonferroni,
    "KS, Benjamini-Hochberg": lambda: _benjamini_hochberg,
    "PSI > .2": lambda: _psi,
    "ADWIN (river)": peer_libraries.adwin,
    "KSWIN (river)": peer_libraries.kswin,
    "alibi-detect": peer_libraries.alibi_detect,
    "Evidently": peer_libraries.evidently,
    "NannyML": peer_libraries.nannyml,
}

if __name__ == "__main__":
    main()
