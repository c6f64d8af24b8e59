"""No label that was acknowledged is lost by kill -9. The long form is ``python benchmarks/labels.py kill``."""

import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from mlmon_sidecar.store import open_store

KILLS = 4
LABELS = 200  # of one batch: label_feeder_program.py
PROGRAM = Path(__file__).with_name("label_feeder_program.py")


def test_what_was_acknowledged_is_there_after_every_kill(store_url: str) -> None:
    chance = random.Random(3)
    acknowledged: set[str] = set()
    for run in range(KILLS):
        command = [sys.executable, str(PROGRAM), store_url, str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as feeder:
            assert feeder.stdout is not None
            for _ in range(chance.randint(1, 12)):
                acknowledged.add(feeder.stdout.readline().strip())
            feeder.kill()
            acknowledged |= {line.strip() for line in feeder.stdout if line.endswith("\n")}
        with closing(open_store(store_url)) as left:
            if store_url.startswith("sqlite"):
                assert left._rows("PRAGMA integrity_check") == [("ok",)]  # type: ignore[attr-defined]
            kept = [name for (name,) in left._rows("SELECT id FROM labels")]  # type: ignore[attr-defined]
        assert len(kept) == len(set(kept))
        assert {f"{batch}-{number}" for batch in acknowledged for number in range(LABELS)} <= set(kept)
        assert len(kept) % LABELS == 0  # a batch is whole or not there
    assert "" not in acknowledged
