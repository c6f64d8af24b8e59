"""Evidently's DataDriftPreset on two tables: ``evidently_peer.py REFERENCE.npy CURRENT.npy``; CPU seconds as JSON.

``benchmarks/evaluation.py --evidently PYTHON`` runs it with an interpreter that has evidently.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")

from evidently import Dataset, Report  # noqa: E402 - what it warns of at import is not ours
from evidently.presets import DataDriftPreset  # noqa: E402


def main() -> None:
    reference, current = (Dataset.from_pandas(frame(path)) for path in sys.argv[1:3])
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        Report([DataDriftPreset()]).run(current, reference).dict()
        seconds.append(time.process_time() - begun)
    print(json.dumps(seconds))


def frame(path: str) -> pd.DataFrame:
    values = np.load(path)
    return pd.DataFrame(values, columns=[f"x{at}" for at in range(values.shape[1])])


if __name__ == "__main__":
    main()
