"""Profiles the same bodies with whylogs and prints microseconds a row, by row and by frame.

``benchmarks/decode.py --whylogs PYTHON`` runs it with an interpreter that has whylogs, pandas, numpy below 2 (whylogs
1.6 needs it) and orjson, and gives the bodies on standard input, one JSON list of rows a line.
"""

from __future__ import annotations

import json
import sys
import time

import orjson
import pandas as pd
from whylogs.core import DatasetProfile


def main() -> None:
    bodies = [line for line in sys.stdin.buffer.read().splitlines() if line]
    costs = {"by row": [], "by frame": []}
    for _ in range(3):
        for name, track in (("by row", by_row), ("by frame", by_frame)):
            profile = DatasetProfile()
            begun = time.process_time()
            rows = sum(track(profile, orjson.loads(body)) for body in bodies)
            costs[name].append(1e6 * (time.process_time() - begun) / rows)
    print(json.dumps({name: min(runs) for name, runs in costs.items()}))


def by_row(profile: DatasetProfile, rows: list[dict[str, object]]) -> int:
    for row in rows:
        profile.track(row)
    return len(rows)


def by_frame(profile: DatasetProfile, rows: list[dict[str, object]]) -> int:
    profile.track(pd.DataFrame(rows))
    return len(rows)


if __name__ == "__main__":
    main()
