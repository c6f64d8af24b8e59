"""One process of the comparison: does a round when it is told to, and says what it cost."""

from __future__ import annotations

import asyncio
import gc
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks.overhead.traffic import PAYLOADS, drive
from benchmarks.overhead.variants import VARIANTS, Variant

WARM_UP = 100
QUICK_TIMES = 5  # rounds of variants without work behind the request are so many times as long: they cost little


class Cost(NamedTuple):
    """One round of one variant, microseconds of CPU a request."""

    loop: float  # of the event loop's thread while requests run
    total: float  # of the process, until the work behind the requests is done


def serve(names: tuple[str, ...], framework: str, told: Connection) -> None:
    """Answer ``("round", payload)`` with a ``Cost`` for ``bare`` and each of ``names``, until told to stop."""
    variants = {name: VARIANTS[name](framework) for name in ("bare", *names)}
    sent = {name: dict.fromkeys(PAYLOADS, 0) for name in variants}
    loop = asyncio.new_event_loop()

    def spend(name: str, payload: str, requests: int) -> Cost:
        cost = _spend(variants[name], loop, payload, requests)
        sent[name][payload] += requests
        return cost

    for name in variants:
        for payload in PAYLOADS:
            spend(name, payload, WARM_UP)
    told.send("ready")
    turn = 0
    while True:
        order, payload = told.recv()
        if order == "stop":
            break
        if order == "profile":
            told.send(_profile(variants[names[0]], loop, payload, PAYLOADS[payload].per_round))
            sent[names[0]][payload] += PAYLOADS[payload].per_round
            continue
        turn += 1
        order_now = [*variants] if turn % 2 else [*reversed(variants)]
        told.send({name: spend(name, payload, PAYLOADS[payload].per_round) for name in order_now})
    try:
        for name, variant in variants.items():
            variant.prove(sent[name])
    except Exception as error:
        told.send(f"{type(error).__name__}: {error}")
    else:
        told.send("recorded")
    for variant in variants.values():
        variant.close()


def _spend(variant: Variant, loop: asyncio.AbstractEventLoop, payload: str, requests: int) -> Cost:
    gc.collect()
    total, here = time.process_time_ns(), time.thread_time_ns()
    loop.run_until_complete(drive(variant.app, PAYLOADS[payload], requests))
    here = time.thread_time_ns() - here
    variant.settle()
    total = time.process_time_ns() - total
    variant.clear()
    return Cost(here / 1000 / requests, total / 1000 / requests)


def _profile(variant: Variant, loop: asyncio.AbstractEventLoop, payload: str, requests: int) -> dict[str, float]:
    from benchmarks.overhead.profile import Profile

    with Profile() as profile:
        _spend(variant, loop, payload, requests)
    return {stage: spent / requests for stage, spent in profile.by_stage().items()}
