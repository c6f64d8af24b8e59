"""A process that predicts for ever, in clock time: ``serving_program.py CONFIG LOG``.

Writes each row's id with the monotonic time to LOG *before* it is observed, and registers with the hub before it
prints ``ready``. Starts at the first line of its standard input, closes at the end of it.
"""

import os
import sys
import threading
import time

import numpy as np
from fixed_rows import MODEL

from mlmon_sidecar.runtime.monitor import Monitor

PAUSE_SECONDS = 0.03
ROWS = 2  # in one call
GIVE_UP_SECONDS = 60


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    config, path = sys.argv[1], sys.argv[2]
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    rng = np.random.default_rng(os.getpid())
    asked_to_end = threading.Event()
    with Monitor(config, strict=True) as monitor:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while not monitor.flush():
            assert time.monotonic() < give_up, "no hub"
            time.sleep(0.02)
        say("ready")
        sys.stdin.readline()
        threading.Thread(target=lambda: (sys.stdin.read(), asked_to_end.set()), daemon=True).start()
        sent = 0
        while not asked_to_end.wait(PAUSE_SECONDS):
            ids = [f"{os.getpid()}-{sent + at}" for at in range(ROWS)]
            os.write(log, "".join(f"{time.monotonic()} {each}\n" for each in ids).encode())
            score = rng.beta(2, 2, ROWS)
            monitor.observe(
                MODEL,
                features={"amount": rng.lognormal(9.0, 0.5, ROWS).tolist(), "town": ["Ulm"] * ROWS},
                predictions=["yes" if each >= 0.5 else "no" for each in score],
                scores=score.tolist(),
                ids=ids,
            )
            sent += ROWS
    say("closed")


main()
