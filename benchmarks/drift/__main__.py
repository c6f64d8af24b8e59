"""False alarms, sensitivity and delay of the drift detector on simulated traffic.

``python -m benchmarks.drift [--seeds 3] [--features 50] [--days 30] [--streams iid,combined] [--no-minutes]``
``python -m benchmarks.drift delays [--seeds 5]``
``python -m benchmarks.drift segments [--seeds 5] [--models 20]`` (``benchmarks.drift.segments``)
``python -m benchmarks.drift versions [--seeds 5] [--features 20] [--streams iid,combined]``

Each stream runs 30 healthy days as the baseline and 30 as traffic without drift: every incident is a false one.
*detectable KS* is the mean over features of the smallest movement the layout lets the detector find.
Versions: two that are alike for 30 days, and one whose scores are shifted, until it is named.
Delays are hours from the first drifted minute to the end of the pane that named the feature; median and worst.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.drift import segments
from benchmarks.drift.delays import LOOKED_DAYS, QUIET_DAYS, TWINS, delay, second_delay
from benchmarks.drift.monitoring import Month, month_of, steps
from benchmarks.drift.streams import STREAMS
from benchmarks.drift.table import QUIET_HEAD, Row, hours, quiet_line
from benchmarks.drift.versions import FOUND, QUIET, Model, false_incidents, hours_to_find, models
from mlmon_sidecar.statistics.indicators import FEATURES
from mlmon_sidecar.statistics.sensitivity import minimum_detectable

HOUR, MINUTE = 60, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("quiet", "delays", "segments", "versions"), default="quiet")
    parser.add_argument("--seeds", type=int, default=0, help="3 for quiet streams, 5 for everything else")
    parser.add_argument("--models", type=int, default=20, help="for segments")
    parser.add_argument("--features", type=int, default=0, help="50; 5 for segments")
    parser.add_argument("--days", type=int, default=30, help="of the baseline, and of quiet traffic")
    parser.add_argument("--streams", default="", help="names, comma-separated; all for quiet streams")
    parser.add_argument("--no-minutes", action="store_true", help="hourly panes alone")
    parser.add_argument("--zones", action="store_true", help="segments that are busy at other hours")
    said = parser.parse_args()
    names = said.streams.split(",") if said.streams else []
    if said.what == "segments":
        segments.main(said.models, said.seeds or 5, said.days, said.features or 5, zones=said.zones)
        return
    said.features = said.features or 50
    if said.what == "versions":
        print_versions(names or ["iid", "combined"], said.seeds or 5, said.features)
    elif said.what == "quiet":
        rows = quiet(names or list(STREAMS), said.seeds or 3, said.features, said.days, minutes=not said.no_minutes)
        print("\n".join([QUIET_HEAD, *map(quiet_line, rows)]))
    else:
        chosen = names or ["iid", "combined", "bursty nulls"]
        print_delays(chosen, said.seeds or 5, said.features, said.days, MINUTE if not said.no_minutes else HOUR)


def quiet(names: Sequence[str], seeds: int, features: int, days: int, *, minutes: bool) -> list[Row]:
    """Every alarm on traffic without drift; what is known so far goes to stderr."""
    rows = {name: Row(name) for name in names}
    for seed in range(1, seeds + 1):
        for name, row in rows.items():
            month = month_of(STREAMS[name], seed, features, baseline_days=days, days=days)
            row.detectable.append(_detectable(month))
            row.hourly.append(_incidents(month, HOUR))
            if minutes:
                row.by_minute.append(_incidents(month, MINUTE))
            print(f"seed {seed}: {quiet_line(row)}", file=sys.stderr, flush=True)
    return list(rows.values())


def print_delays(names: Sequence[str], seeds: int, features: int, days: int, pane: int) -> None:
    print(f"{'delay (median, worst)':<24}" + "".join(f"{name:>22}" for name in names))
    months = {
        name: [
            month_of(STREAMS[name], seed, features, baseline_days=days, days=QUIET_DAYS + LOOKED_DAYS)
            for seed in range(1, seeds + 1)
        ]
        for name in names
    }
    for twin in TWINS:
        found = [hours([delay(month, twin.of(month, features), pane) for month in months[name]]) for name in names]
        print(f"{twin.name:<24}" + "".join(f"{figure:>22}" for figure in found), flush=True)
    pairs = {name: [second_delay(month, pane) for month in months[name]] for name in names}
    for at, label in enumerate((".5 sigma, alone", ".5 sigma, second")):
        print(f"{label:<24}" + "".join(f"{hours([pair[at] for pair in pairs[name]]):>22}" for name in names))


def print_versions(names: Sequence[str], seeds: int, features: int) -> None:
    print(f"{f'versions, {features} features, {seeds} seeds':<50}" + "".join(f"{name:>16}" for name in names))
    found = {name: [_versions(model) for model in models(name, seeds, features)] for name in names}
    for at, scenario in enumerate(QUIET):
        sums = [sum(quiet[at] for quiet, _ in found[name]) for name in names]
        print(f"{f'false incidents, {scenario.name}':<50}" + "".join(f"{count:>16}" for count in sums))
    for at, (label, _, _) in enumerate(FOUND):
        told = [hours([delays[at] for _, delays in found[name]]) for name in names]
        print(f"{f'found (median, worst), {label}':<50}" + "".join(f"{each:>16}" for each in told))


def _versions(model: Model) -> tuple[list[int], list[float | None]]:
    quiet = [false_incidents(model, scenario) for scenario in QUIET]
    return quiet, [hours_to_find(model, share, shift) for _, share, shift in FOUND]


def _detectable(month: Month) -> float:
    found = minimum_detectable(month.detector.indicators)
    return statistics.mean(ks for (stream, _), ks in found.items() if stream == FEATURES)


def _incidents(month: Month, pane: int) -> int:
    """An alarm that comes while another is open still counts: nothing has happened."""
    walked = steps(month, month.counts, pane, month.start, month.seen.minutes)
    return sum(len(step.alarms) for _, step in walked)


if __name__ == "__main__":
    main()
