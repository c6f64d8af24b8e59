"""``mlmon hub`` that kills itself (-9) inside the commit of a seal: ``crashing_hub_program.py CONFIG SEALS``.

Seal number SEALS is evaluated and all of it is written; the transaction is not committed.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import apsw

from mlmon_sidecar.config import load
from mlmon_sidecar.records import Incident
from mlmon_sidecar.runtime.separate_hub import run_hub
from mlmon_sidecar.store import sqlite
from mlmon_sidecar.store.contract import Seal

write_incidents = sqlite._write_incidents


class CrashingStore(sqlite.SqliteStore):
    seals_left = int(sys.argv[2])

    def seal(self, seal: Seal) -> None:
        CrashingStore.seals_left -= 1
        super().seal(seal)


def write_the_last_of_a_seal(db: apsw.Connection, incidents: Sequence[tuple[Incident, str, int]]) -> None:
    write_incidents(db, incidents)
    if CrashingStore.seals_left == 0:
        db.set_commit_hook(lambda: os.kill(os.getpid(), signal.SIGKILL))


sqlite._write_incidents = write_the_last_of_a_seal
sqlite.SqliteStore = CrashingStore
run_hub(load(Path(sys.argv[1])))
