"""Bounded samples that merge by union: the k members with the smallest hashes.

Which members are the smallest does not depend on who saw them first, so any split of the data keeps the same ones
(bottom-k sketch: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlmon_sidecar.records import Sample

INPUTS = "inputs"
"""Distinct input rows; values are empty, only the hashes matter."""

NEW_PREFIX = "new:"
"""Followed by a feature's name: redacted category tokens that the layout does not know."""

ERRORS = "errors"
"""Exchanges that failed: when, how long, which status, how it ended, which exception."""

INPUTS_KEPT = 20
NEW_KEPT = 5
ERRORS_KEPT = 10


def limit(name: str) -> int:
    """How many members the sample of that name keeps."""
    if name == ERRORS:
        return ERRORS_KEPT
    return NEW_KEPT if name.startswith(NEW_PREFIX) else INPUTS_KEPT


def smallest(members: Iterable[Sample], kept: int) -> tuple[Sample, ...]:
    """The ``kept`` distinct members with the smallest hashes, ascending.

    >>> smallest([Sample(9, "b"), Sample(3, "a"), Sample(9, "b")], 2)
    (Sample(hash=3, value='a'), Sample(hash=9, value='b'))
    """
    return tuple(sorted(set(members))[:kept])


def merge_samples(
    first: Mapping[str, tuple[Sample, ...]], second: Mapping[str, tuple[Sample, ...]]
) -> dict[str, tuple[Sample, ...]]:
    """The samples of both together. Commutative, associative and idempotent."""
    merged = {**first}
    for name, members in second.items():
        merged[name] = smallest((*merged.get(name, ()), *members), limit(name))
    return dict(sorted(merged.items()))
