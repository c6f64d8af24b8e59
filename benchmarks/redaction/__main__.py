"""Recall, harm and speed of redaction, ours and the peers', on one generated set in one run.

``python -m benchmarks.redaction [--split dev|held] [--documents N] [--seed S] [--examples N] [--engine NAME]``

Only the ``dev`` split shows examples. Figures of ``held`` come from templates, key names and sentences that no rule
was written to.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from typing import Any

from benchmarks.redaction.corpus import SPLITS, Document, documents
from benchmarks.redaction.engines import Redact, engines
from benchmarks.redaction.score import GONE, HOWS, Score

SLOW_DOCUMENTS = 300  # a peer that needs more than this budget is measured on fewer documents
BUDGET_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=SPLITS, default="dev")
    parser.add_argument("--documents", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=0, help="of the dev split: what was missed or harmed")
    parser.add_argument("--engine", help="only the engine whose name begins so")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    corpus = list(documents(said.split, said.seed, said.documents))
    size = sum(len(document.encoded) for document in corpus)
    print(f"{said.split}: {len(corpus)} documents, {size / 1e6:.2f} MB, seed {said.seed}")
    heads = (("form", 7), ("key", 7), ("context", 9), ("all", 7), ("altered", 9), ("numbers", 12), ("MB/CPU s", 9))
    print(" " * 22 + "".join(f"{head:>{width}}" for head, width in (*heads, ("cold ms", 9))))
    rows = {}
    for name, make in engines():
        if said.engine and not name.startswith(said.engine):
            continue
        rows[name] = measure(name, make, corpus, show=said.split == "dev" and bool(said.examples))
        score = rows[name].pop("score")
        for what, value in score.examples[: said.examples]:
            print("   ", what, "->", json.dumps(value, ensure_ascii=False)[:160])
        if said.examples:
            print("    missed", dict(score.missed.most_common(12)), "altered", dict(score.harmed.most_common(12)))
    if said.json:
        print(json.dumps(rows))


def measure(name: str, make: Any, corpus: list[Document], *, show: bool) -> dict[str, Any]:
    begun = time.process_time()
    redact: Redact = make()
    redact(corpus[0].body)
    cold = time.process_time() - begun
    score = Score()
    spent, size, idempotent, mutated = 0.0, 0, 0, 0
    for document in corpus:
        before = copy.deepcopy(document.body)
        begun = time.process_time()
        output = redact(document.body)
        spent += time.process_time() - begun
        size += len(document.encoded)
        mutated += before != document.body
        output = _decoded(output)
        score.add(document, output, show=show)
        if name == "mlmon-sidecar":
            idempotent += redact(output) == output
        if spent > BUDGET_SECONDS and score.documents >= SLOW_DOCUMENTS:
            break
    recalls = [score.recall(how) for how in HOWS]
    print(
        f"{name:22}"
        + "".join(f"{value:>{width}.1%}" for value, width in zip(recalls, (7, 7, 9), strict=True))
        + f"{score.overall:>7.1%}{score.altered_share:>9.2%}{score.numbers_altered:>5}/{score.numbers:<6}"
        + f"{size / 1e6 / spent:>7.2f}{cold * 1e3:>9.0f}"
    )
    if name == "mlmon-sidecar":
        print(f"    unreadable {score.unreadable}, mutated {mutated}, idempotent {idempotent}/{score.documents}")
    return {
        "documents": score.documents, "recall": dict(zip(HOWS, recalls, strict=True)), "overall": score.overall,
        "altered": score.altered_share, "numbers_altered": score.numbers_altered,
        "mb_per_cpu_second": size / 1e6 / spent,
        "cold_ms": cold * 1e3, "unreadable": score.unreadable, "mutated": mutated, "score": score,
    }  # fmt: skip


def _decoded(output: Any) -> Any:
    """As a reader of the stored JSON sees it."""
    try:
        return json.loads(json.dumps(output))
    except (TypeError, ValueError):
        return GONE


if __name__ == "__main__":
    main()
