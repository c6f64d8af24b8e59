"""``mlmon hub`` that kills itself (-9) inside the commit of a seal: ``crashing_hub_program.py CONFIG SEALS``.

The transaction of seal number SEALS is evaluated and written, and not committed.
"""

import os
import signal
import sys
from pathlib import Path

from mlmon_sidecar.config import load
from mlmon_sidecar.runtime.separate_hub import run_hub
from mlmon_sidecar.store.contract import Seal
from mlmon_sidecar.store.sqlite import SqliteStore


class CrashingStore(SqliteStore):
    seals_left = int(sys.argv[2])

    def seal(self, seal: Seal) -> None:
        CrashingStore.seals_left -= 1
        if CrashingStore.seals_left == 0:
            self._write.set_commit_hook(lambda: os.kill(os.getpid(), signal.SIGKILL))
        super().seal(seal)


sys.modules["mlmon_sidecar.store.sqlite"].SqliteStore = CrashingStore
run_hub(load(Path(sys.argv[1])))
