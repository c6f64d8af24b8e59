"""Exactly once, with real processes: whatever the number of processes and whoever is killed, the same bytes.

The fixed rows of ``fixed_rows.py`` are observed once by one process; every other way of running them has to seal the
same panes, reach the same detector state and tell of the same incidents.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fixed_rows import (
    DRIFT,
    FIRST_MINUTE,
    MINUTES,
    Sealed,
    make_baseline,
    make_rows,
    read_sealed,
    store_of,
    watermark,
    write_settings,
)

from mlmon_sidecar.baseline.document import Baseline

HERE = Path(__file__).parent
# Said, because the installed wheel is tested with a safe path, without a program's own folder on it.
BESIDE = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
PATIENCE = 60.0  # seconds until something that should happen counts as not happening
POLL = 0.05


class Program:
    """A child process that is spoken to by lines."""

    def __init__(self, *command: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(BESIDE)},
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate(timeout=PATIENCE)[1]
        return line

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def end(self) -> str:
        """Closes its input and returns what it wrote to standard error."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, err
        assert out.strip() in ("", "closed")
        return err


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def program(*command: object) -> Program:
        started.append(Program(*command))
        return started[-1]

    yield program
    for each in started:
        each.kill()


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(POLL)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "loans.json"
    make_baseline().save(path)
    return path


# ---------------------------------------------------------------- the same rows, the same bytes


def feeders(start: Callable[..., Program], config: Path, count: int) -> list[Program]:
    """All are registered when this returns, so that no minute is sealed without one of them."""
    programs = [start(HERE / "feeder_program.py", config, index, count) for index in range(count)]
    for program in programs:
        assert program.answer() == "ready"
    return programs


def observe(programs: list[Program], minute: int) -> list[int]:
    """All at once, up to ``minute``; how many flushes of each found no hub."""
    for program in programs:
        program.tell(f"until {minute}")
    return [int(program.answer()) for program in programs]


def close(programs: list[Program]) -> None:
    """All at once, as when a server with several workers is told to stop."""
    for program in programs:
        program.tell("close")
    for program in programs:
        assert program.answer() == "closed"
        assert "lost" not in program.end()


@pytest.fixture(scope="module")
def alone(baseline: Path, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """What one process with the embedded hub seals."""
    directory = tmp_path_factory.mktemp("alone")
    program = Program(HERE / "feeder_program.py", write_settings(directory, baseline), 0, 1)
    try:
        assert program.answer() == "ready"
        assert observe([program], MINUTES) == [0]
        close([program])
    finally:
        program.kill()
    return read_sealed(store_of(directory))


def assert_same(found: Sealed, expected: Sealed) -> None:
    assert (found.lost, found.waiting) == (0, [])
    assert Counter(found.aliases) == Counter(expected.aliases)
    assert found.panes.keys() == expected.panes.keys()
    assert found.panes == expected.panes
    assert found.samples == expected.samples
    assert found.watermark == expected.watermark
    assert found.incidents == expected.incidents
    assert found.series == expected.series
    assert found.detector == expected.detector
    assert found.progress == expected.progress
    for name in ("rows.decoded", "rows.kept"):
        assert found.counted[name] == expected.counted[name]


def test_one_process_seals_every_row_and_tells_of_both_drifts(alone: Sealed) -> None:
    rows = make_rows()
    assert Counter(alone.aliases) == Counter(row.alias for row in rows)
    assert len(alone.panes) == len({(row.minute, row.version) for row in rows})
    assert (alone.waiting, alone.lost, alone.watermark) == ([], 0, FIRST_MINUTE + MINUTES - 1)
    told = [(row[2], row[5] - FIRST_MINUTE, row[6]) for row in alone.incidents]
    assert {rule for rule, _, _ in told} == {"feature_drift", "prediction_drift", "new_categories"}
    assert all(opened in DRIFT for _, opened, _ in told)
    assert {resolved is None for _, _, resolved in told} == {True, False}


def test_four_processes_over_one_embedded_hub_seal_the_same_bytes(
    alone: Sealed, baseline: Path, tmp_path: Path, start: Callable[..., Program]
) -> None:
    programs = feeders(start, write_settings(tmp_path, baseline), 4)
    observe(programs, MINUTES)
    close(programs)
    assert_same(read_sealed(store_of(tmp_path)), alone)


def hub_program(start: Callable[..., Program], config: Path) -> Program:
    return start("-m", "mlmon_sidecar.cli.main", "hub", "--config", config)


def finish(start: Callable[..., Program], config: Path, programs: list[Program]) -> None:
    """Under another hub."""
    store = store_of(config.parent)
    sealed = watermark(store)
    hub = hub_program(start, config)
    until(lambda: watermark(store) > sealed)
    observe(programs, MINUTES)
    close(programs)
    hub.process.terminate()
    hub.end()


def test_a_separate_hub_killed_half_way_and_started_again_seals_the_same_bytes(
    alone: Sealed, baseline: Path, tmp_path: Path, start: Callable[..., Program]
) -> None:
    config = write_settings(tmp_path, baseline, hub_url=f"unix://{tmp_path}/hub.sock")
    hub = hub_program(start, config)
    programs = feeders(start, config, 3)
    assert observe(programs, 80) == [0, 0, 0]
    until(lambda: watermark(store_of(tmp_path)) > FIRST_MINUTE + 70)  # some units are held by now
    for program in programs:
        program.tell("until 130")
    hub.kill()  # while they flush
    for program in programs:
        program.answer()
    assert all(observe(programs, 160)), "flushes found no hub"
    finish(start, config, programs)
    assert_same(read_sealed(store_of(tmp_path)), alone)


def test_a_hub_killed_inside_the_commit_of_a_seal_is_followed_by_the_same_bytes(
    alone: Sealed, baseline: Path, tmp_path: Path, start: Callable[..., Program]
) -> None:
    config = write_settings(tmp_path, baseline, hub_url=f"unix://{tmp_path}/hub.sock")
    crashing = start(HERE / "crashing_hub_program.py", config, 2)
    (program,) = feeders(start, config, 1)
    observe([program], 115)  # the first seal takes 64 minutes at most, and is committed; the second never
    until(lambda: crashing.process.poll() is not None)
    assert crashing.process.returncode == -9
    before = read_sealed(store_of(tmp_path))
    assert before.watermark == max(key[1] for key in before.panes)
    assert before.watermark < FIRST_MINUTE + 114
    assert before.waiting
    finish(start, config, [program])
    assert_same(read_sealed(store_of(tmp_path)), alone)


# ---------------------------------------------------------------- a worker killed together with its hub


def sent_rows(log: Path) -> list[tuple[float, str]]:
    lines = log.read_text().splitlines()
    return [(float(at), alias) for at, alias in (line.split() for line in lines)]


def lock_holder(store: Path) -> int:
    said = store.with_name(store.name + ".lock").read_text().strip()
    return int(said) if said else 0


FLUSH_SECONDS = 0.2
NOISE_SECONDS = 2.0  # a busy machine may run the recorder's thread so much later than asked


def test_a_worker_killed_with_the_hub_in_it_loses_at_most_a_flush_interval_and_another_seals_on(
    baseline: Path, tmp_path: Path, start: Callable[..., Program]
) -> None:
    store = store_of(tmp_path)
    fast = f"clock_scale = 60.0\nclock_anchor = {time.time()}"  # a minute a second
    config = write_settings(tmp_path, baseline, further=fast)
    logs = [tmp_path / f"{index}.log" for index in range(3)]
    programs = [start(HERE / "serving_program.py", config, log) for log in logs]
    for program in programs:
        assert program.answer() == "ready"
    for program in programs:
        program.tell("go")
    until(lambda: watermark(store) > 0)
    begun = watermark(store)
    until(lambda: watermark(store) >= begun + 3)
    (at,) = [index for index, each in enumerate(programs) if each.process.pid == lock_holder(store)]
    victim, survivors = programs[at], [each for each in programs if each is not programs[at]]
    victim.kill()
    killed, sealed_before = time.monotonic(), watermark(store)
    until(lambda: lock_holder(store) in {each.process.pid for each in survivors})
    until(lambda: watermark(store) > sealed_before + 2)  # when the dead one has been silent for ten seconds
    for program in survivors:
        assert program.process.stdin is not None
        program.process.stdin.close()
        program.process.stdin = None
    for program in survivors:
        assert "lost" not in program.end()

    found = read_sealed(store)
    stored = set(found.aliases)
    assert len(stored) == len(found.aliases), "a row was stored twice"
    for index, log in enumerate(logs):
        sent = sent_rows(log)
        missing = [when for when, alias in sent if alias not in stored]
        if index != at:
            assert missing == []
            continue
        assert missing == [when for when, _ in sent[len(sent) - len(missing) :]], "only the newest may be lost"
        rate = len(sent) / (sent[-1][0] - sent[0][0])
        assert 0 <= len(missing) <= rate * (FLUSH_SECONDS + NOISE_SECONDS)
        assert all(when > killed - FLUSH_SECONDS - NOISE_SECONDS for when in missing)
        assert len(sent) > 2 * rate * FLUSH_SECONDS, "there was something to lose"
    assert stored <= {alias for log in logs for _, alias in sent_rows(log)}
    assert found.lost == 0
    assert found.counted["rows.kept"] == found.counted["rows.decoded"] == len(stored)
    cell = Baseline.load(baseline).layout.traffic.rows
    # The last worker to end may have been the hub for less than the ten seconds the dead one is waited for.
    vectors = [*found.panes.values(), *found.waiting]
    assert sum(int(np.frombuffer(vector, "<i8")[cell]) for vector in vectors) == len(stored)
