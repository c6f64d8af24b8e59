"""A job of its own process that observes its share of the fixed rows: ``feeder_program.py CONFIG INDEX OF``.

Registers with the hub, prints ``ready``, then obeys lines of its standard input and answers each with one line:
``until N`` observes its rows of the minutes before N with a flush every few minutes and prints how many flushes found
no hub; ``close`` hands over the rest and ends.
"""

import sys
import time

from fixed_rows import MODEL, columns_of, make_rows, of_version

from mlmon_sidecar.runtime.monitor import Monitor

MINUTES_PER_FLUSH = 5
GIVE_UP_SECONDS = 60


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def observe_until(monitor: Monitor, share: list, done: int, until: int, step: int) -> int:
    away = 0
    for minute in range(done, until):
        rows = [row for row in share if row.minute == minute]
        for version, chosen in of_version(rows):
            monitor.observe(MODEL, version=version, **columns_of(chosen))
        if minute % step == 0:
            away += not monitor.flush()
    return away


def main() -> None:
    config, index, of = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    share = [row for row in make_rows() if row.number % of == index]
    with Monitor(config, strict=True) as monitor:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while not monitor.flush():
            assert time.monotonic() < give_up, "no hub"
            time.sleep(0.02)
        say("ready")
        done = 0
        for line in sys.stdin:
            if line.strip() == "close":
                break
            until = int(line.split()[1])
            say(str(observe_until(monitor, share, done, until, MINUTES_PER_FLUSH + index)))
            done = until
    say("closed")


main()
