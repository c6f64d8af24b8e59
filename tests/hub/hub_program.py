"""A hub of its own process for tests: lock, socket server, and an intake that is a file with a line a flush.

``hub_program.py STORE SOCKET [--die-after N] [--fork]``. Prints ``ready``; ends when its standard input does.
--die-after: kill -9 of itself once N flushes are committed in this run, before the last one is acknowledged.
--fork: leaves a child behind that lives until standard input ends and prints its process id.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.socket_server import SocketServer
from mlmon_sidecar.records import Flush, FlushReceipt, FlushStatus, Label, LabelReceipt, LabelStatus


class FileHub:
    def __init__(self, path: Path, die_after: int) -> None:
        self._path = path
        self._left = die_after
        self._lock = threading.Lock()
        path.touch()

    def flush(self, flush: Flush) -> FlushReceipt:
        with self._lock:
            known = {tuple(line.split()[:2]) for line in self._path.read_text().splitlines()}
            if (flush.recorder_id, str(flush.seq)) in known:
                return FlushReceipt(FlushStatus.DUPLICATE, 0)
            cells = ",".join(str(cell) for cell in flush.panes[0].vector)
            with self._path.open("a") as out:
                out.write(f"{flush.recorder_id} {flush.seq} {cells}\n")
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return FlushReceipt(FlushStatus.COMMITTED, 0)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return [LabelReceipt(label.id, LabelStatus.ACCEPTED) for label in labels]

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return b"{}"

    def close(self) -> None:
        pass


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("socket", type=Path)
    parser.add_argument("--die-after", type=int, default=-1)
    parser.add_argument("--fork", action="store_true")
    options = parser.parse_args()
    lock = StoreLock(options.store)
    while not lock.try_acquire():
        time.sleep(0.01)  # the kernel may take a moment to bury the last holder
    server = SocketServer(options.socket, FileHub(options.store, options.die_after))
    server.start()
    say("ready")
    if options.fork:
        while not options.socket.with_suffix(".fork").exists():
            time.sleep(0.01)  # the test connects first, so that the child inherits that connection too
        if os.fork() == 0:
            say(str(os.getpid()))
            sys.stdin.read()
            os._exit(0)
    sys.stdin.read()
    server.stop()
    lock.release()


main()
