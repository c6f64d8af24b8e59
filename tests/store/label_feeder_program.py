"""Commits labels for ever and says which: ``label_feeder_program.py STORE RUN``. A line is written after the commit."""

import itertools
import sys
import time

from mlmon_sidecar.records import Label
from mlmon_sidecar.store import open_store

LABELS = 200

store = open_store(sys.argv[1])
store.take_over()
for batch in itertools.count():
    now_ns = time.time_ns()
    name = f"{sys.argv[2]}-{batch}"
    store.commit_labels([Label(f"{name}-{number}", "yes", now_ns) for number in range(LABELS)], now_ns)
    sys.stdout.write(name + "\n")
    sys.stdout.flush()
