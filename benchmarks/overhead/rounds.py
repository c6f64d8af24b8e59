"""One process of the comparison: does a round when it is told to, and says what it cost."""

from __future__ import annotations

import asyncio
import gc
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks.overhead.profile import Profile
from benchmarks.overhead.traffic import PAYLOADS, drive
from benchmarks.overhead.variants import VARIANTS, Variant

WARM_UP = 100
AGAIN = 16  # requests ahead of a round, unread on the loop: another process had the caches
BURSTS = 10  # of a round


class Cost(NamedTuple):
    """One round of one variant, microseconds of CPU a request."""

    loop: float  # of the event loop's thread while requests run
    total: float  # of the process, until the work behind the requests is done
    least: float  # of the loop, in the burst that took the least


def serve(name: str, framework: str, told: Connection) -> None:
    """Answer ``("round", payload, share)`` with a ``Cost``, until told to stop; then say whether all was recorded.

    A process is one variant: the interpreter adapts the code of application and framework to what calls it.
    """
    variant = VARIANTS[name](framework)
    sent = dict.fromkeys(PAYLOADS, 0)
    loop = asyncio.new_event_loop()

    def spend(payload: str, requests: int) -> Cost:
        sent[payload] += AGAIN + requests
        return _spend(variant, loop, payload, requests)

    for payload in PAYLOADS:
        spend(payload, WARM_UP)
    told.send("ready")
    while True:
        order, payload, share = told.recv()
        if order == "stop":
            break
        requests = max(BURSTS, int(PAYLOADS[payload].per_round * share) // BURSTS * BURSTS)
        if order == "profile":
            with Profile() as profile:
                spend(payload, requests)
            told.send({stage: spent / requests for stage, spent in profile.by_stage().items()})
        else:
            told.send(spend(payload, requests))
    try:
        variant.prove(sent)
    except Exception as error:
        told.send(f"{type(error).__name__}: {error}")
    else:
        told.send("recorded")
    variant.close()


def _spend(variant: Variant, loop: asyncio.AbstractEventLoop, payload: str, requests: int) -> Cost:
    """In bursts: a recorder takes what waits every few milliseconds, so what is kept does not pile up for a round."""
    gc.collect()
    burst = max(1, requests // BURSTS)
    total = time.process_time_ns()
    loop.run_until_complete(drive(variant.app, PAYLOADS[payload], AGAIN))
    spent_all = time.process_time_ns() - total
    here: list[int] = []  # ns of each burst
    for _ in range(requests // burst):
        total, begun = time.process_time_ns(), time.thread_time_ns()
        loop.run_until_complete(drive(variant.app, PAYLOADS[payload], burst))
        here.append(time.thread_time_ns() - begun)
        spent_all += time.process_time_ns() - total
        if not variant.works_behind:
            variant.clear()
    total = time.process_time_ns()
    variant.settle()
    spent_all += time.process_time_ns() - total
    variant.clear()
    return Cost(sum(here) / 1000 / requests, spent_all / 1000 / (AGAIN + requests), min(here) / 1000 / burst)
