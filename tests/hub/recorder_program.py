"""A recorder of its own process for tests: ``recorder_program.py SOCKET RECORDER_ID FLUSHES``.

Sends numbered flushes, each frozen once and repeated until it is acknowledged. Prints ``ready``, waits for a line,
and at its end prints one JSON object with what it saw.
"""

import json
import sys
import time
from collections import Counter

import numpy as np

from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.records import Flush, Pane, PaneKey, RedactedRows

GIVE_UP_SECONDS = 60


def frozen(recorder_id: str, seq: int) -> Flush:
    vector = np.array([seq, int(recorder_id), 1 << 40, 0], dtype=np.int64)
    pane = Pane(PaneKey("fraud", "v1", "", "abcd", seq), vector)
    return Flush(recorder_id, seq, (pane,), RedactedRows(), {}, {"fraud": seq}, seq)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    path, recorder_id, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    client = SocketHubClient(path, timeout_seconds=20)
    seen: Counter[str] = Counter()
    say("ready")
    sys.stdin.readline()
    until = time.monotonic() + GIVE_UP_SECONDS
    for seq in range(1, count + 1):
        flush = frozen(recorder_id, seq)
        while time.monotonic() < until:
            try:
                seen[client.flush(flush).status] += 1
                break
            except HubUnavailable as error:
                seen[error.code] += 1
                time.sleep(0.02)
    say(json.dumps(seen))


main()
