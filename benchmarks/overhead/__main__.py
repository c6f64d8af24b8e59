"""Rounds in turn over every process, then the tables.

python -m benchmarks.overhead                    # about seven minutes
python -m benchmarks.overhead --rounds 9 --only raw
python -m benchmarks.overhead --rounds 400 --share .05 --processes 8    # for a machine in use
"""

from __future__ import annotations

import argparse
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from benchmarks.overhead.rounds import Cost, serve
from benchmarks.overhead.table import Costs, markdown, profile_text, ratios, text
from benchmarks.overhead.traffic import PAYLOADS
from benchmarks.overhead.variants import ENVIRONMENT, FASTAPI_ONLY, VARIANTS

FRAMEWORKS = ("raw", "fastapi")


class Measured:
    """One process of the comparison."""

    def __init__(self, name: str, framework: str) -> None:
        context = get_context("spawn")
        self.name = name
        self._told, child = context.Pipe()
        self._process = context.Process(target=serve, args=(name, framework, child))
        set_before = {key: os.environ.get(key) for key in ENVIRONMENT.get(name, {})}
        os.environ.update(ENVIRONMENT.get(name, {}))
        self._process.start()
        for key, value in set_before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
        child.close()

    def ready(self) -> None:
        if self._told.recv() != "ready":
            raise RuntimeError(f"{self.name} did not start")

    def round(self, payload: str, share: float) -> Cost:
        self._told.send(("round", payload, share))
        return self._told.recv()  # type: ignore[no-any-return]

    def profile(self, payload: str) -> dict[str, float]:
        self._told.send(("profile", payload, 1.0))
        return self._told.recv()  # type: ignore[no-any-return]

    def abandon(self) -> None:
        """End it, whatever it does."""
        if self._process.is_alive():
            self._process.terminate()

    def close(self) -> None:
        """Raises ``RuntimeError`` where something was not recorded."""
        self._told.send(("stop", "", 1.0))
        verdict = self._told.recv()
        self._process.join(30)
        if verdict != "recorded":
            raise RuntimeError(f"{self.name}: {verdict}")


def measure(
    framework: str, names: Sequence[str], rounds: int, payloads: Sequence[str], share: float, processes: int
) -> tuple[Costs, dict[str, float]]:
    """The costs of every variant, one a round, and the profile of everything on (of rows).

    ``share``: of the usual number of requests, in each round. ``processes``: of each variant, one after another, which
    share the rounds: where a process has its memory makes it faster or slower for good.
    """
    costs: Costs = defaultdict(list)
    profile: dict[str, float] = {}
    for number in range(processes):
        running = [Measured(name, framework) for name in ("bare", *names)]
        try:
            found, profile = _rounds(running, len(range(number, rounds, processes)), payloads, share)
        finally:
            for process in running:
                process.abandon()
        for key, each in found.items():
            costs[key] += each
    return costs, profile


def _rounds(
    running: Sequence[Measured], rounds: int, payloads: Sequence[str], share: float
) -> tuple[Costs, dict[str, float]]:
    for process in running:
        process.ready()
    costs: Costs = defaultdict(list)
    for number in range(rounds):
        for payload in payloads:
            for process in running if number % 2 == 0 else reversed(running):
                costs[process.name, payload].append(process.round(payload, share))
    profile: dict[str, float] = {}
    for process in running:
        if process.name == "mlmon, everything on":
            profile = process.profile("row")
        process.close()
    return costs, profile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31, help="rounds of every variant")
    parser.add_argument("--only", choices=FRAMEWORKS, help="one framework")
    parser.add_argument("--variants", default="", help="only variants whose name holds one of these, by commas")
    parser.add_argument("--payloads", default="", help=f"only these, by commas: {','.join(PAYLOADS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual requests in a round")
    parser.add_argument("--processes", type=int, default=3, help="of every variant, one after another")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    said = parser.parse_args()
    wanted = said.variants.split(",")
    chosen = [name for name in VARIANTS if name != "bare" and any(part in name for part in wanted)]
    payloads = [name for name in PAYLOADS if not said.payloads or name in said.payloads.split(",")]
    how = (
        f"{said.rounds} interleaved rounds, {said.processes} processes each, medians of the differences within a round"
    )
    written = [f"Python {platform.python_version()}; {how}.\n"]
    for framework in (said.only,) if said.only else FRAMEWORKS:
        names = [name for name in chosen if framework == "fastapi" or name not in FASTAPI_ONLY]
        costs, profile = measure(framework, names, said.rounds, payloads, said.share, said.processes)
        print(text(framework, costs))
        print(ratios(costs))
        if profile:
            print(profile_text(profile))
        written.append(markdown(framework, costs))
    if said.markdown:
        said.markdown.write_text("\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    main()
