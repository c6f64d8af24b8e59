"""How fast the redactor is: mixed bodies, cold start, hostile text, rows. Processor time; the best of several rounds.

python benchmarks/redaction_speed.py
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import orjson

from mlmon_sidecar.records import PredictionBatch
from mlmon_sidecar.redact import Redactor

WORDS = "the model returns one score for each request and keeps it until labels arrive later in the week".split()
HOSTILE = {
    "digits and blanks": "1 ", "at signs": "a@", "letters and digits": "a1234567", "words": "password ",
    "card numbers": "4111111111111111 ", "addresses": "jo@x.org ", "colons": ":", "hidden": "4\u200b", "URLs": "://a",
}  # fmt: skip
COLD = "import time; t = time.process_time(); from mlmon_sidecar.redact import Redactor; r = Redactor(); " \
       "r.redact({'x': 'mail jo@example.org'}); print(time.process_time() - t)"  # fmt: skip


def best_of(rounds: int, work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def prose(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words))


def chat(chance: random.Random) -> object:
    asked = f"{prose(chance, 80)} mail jo{chance.randrange(99)}@example.org or call +49 30 1234567. {prose(chance, 60)}"
    return {"model": "m", "max_tokens": 512, "messages": [
        {"role": "user", "content": asked}, {"role": "assistant", "content": prose(chance, 200)}]}  # fmt: skip


def table(chance: random.Random) -> object:
    row = lambda: {  # noqa: E731 - one expression, called ten times below
        "age": chance.randrange(90), "income": chance.random() * 1e5, "country": chance.choice(["DE", "FR"]),
        "at": f"2024-01-{chance.randrange(1, 28):02d}T10:11:12Z", "plan": "gold", "x1": chance.random(),
        "sku": f"SKU-{chance.randrange(10**6)}", "version": f"1.2.{chance.randrange(99)}", "email": "a@b.de",
    }  # fmt: skip
    return {"request_id": f"{chance.getrandbits(128):032x}", "instances": [row() for _ in range(10)]}


def tensor(chance: random.Random) -> object:
    return {"inputs": [
        {"name": "x", "shape": [16, 32], "datatype": "FP32", "data": [chance.random() for _ in range(512)]},
        {"name": "customer", "datatype": "BYTES", "data": [f"C{chance.randrange(10**6):06d}" for _ in range(16)]},
    ]}  # fmt: skip


def rows(count: int, features: int) -> PredictionBatch:
    return PredictionBatch(
        model="m", version="v1", event_ns=np.arange(count), weight=np.ones(count, dtype=np.int64),
        prediction_ids=[f"id{at}" for at in range(count)], aliases=[f"A-{at}" for at in range(count)],
        features={f"f{at}": np.random.default_rng(at).random(count).tolist() for at in range(features)},
        score=np.full(count, 0.5), predicted=["yes", "no"] * (count // 2), confidence=np.full(count, 0.5),
        segments=["eu"] * count, traces=[(0, 0)] * count, exemplar=[False] * count,
    )  # fmt: skip


def main() -> None:
    chance, redactor = random.Random(1), Redactor()
    kinds = {make.__name__: [make(chance) for _ in range(200)] for make in (chat, table, tensor)}
    kinds["mixed"] = [body for bodies in zip(*kinds.values(), strict=True) for body in bodies]
    for name, bodies in kinds.items():
        size = sum(len(orjson.dumps(body)) for body in bodies)
        seconds = best_of(7, lambda bodies=bodies: [redactor.redact(body) for body in bodies])  # type: ignore[misc]
        print(f"{name:20} {size / seconds / 1e6:8.1f} MB per CPU-second")
    cold = min(float(subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, check=True).stdout)
               for _ in range(3))  # fmt: skip
    print(f"{'cold start':20} {cold * 1e3:8.0f} ms, import and first document")
    for name, fragment in HOSTILE.items():
        print(
            f"{name:20} "
            + " ".join(f"{hostile(redactor, fragment, size):>16}" for size in (250_000, 500_000, 1_000_000))
        )
    for features in (0, 10, 50):
        batch = rows(1000, max(features, 1))
        stored = frozenset(batch.features) if features else frozenset()
        seconds = best_of(7, lambda batch=batch, stored=stored: redactor.redact_batch(batch, stored, [True] * 1000))  # type: ignore[misc]
        print(f"{f'row, {features} stored':20} {seconds * 1e3:8.1f} us")


def hostile(redactor: Redactor, fragment: str, characters: int) -> str:
    text, begun = fragment * (characters // len(fragment)), time.process_time()
    try:
        redactor.redact_text(text)
        outcome = "s"
    except Exception as error:
        outcome = f"s {type(error).__name__}"
    return f"{time.process_time() - begun:.2f} {outcome}"


if __name__ == "__main__":
    main()
