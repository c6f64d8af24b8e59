"""Which rows are kept: by a hash of the prediction id, so that a label and its prediction agree without asking."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_BITS = 64


def in_sample(prediction_id: str, rate: float) -> bool:
    """Whether the id is among the ``rate`` (in [0, 1]) that are kept. All rows of a request share one decision."""
    base = prediction_id.partition("/")[0]
    digest = hashlib.blake2b(base.encode("utf-8", "surrogatepass"), digest_size=_BITS // 8).digest()
    return int.from_bytes(digest, "big") < rate * (1 << _BITS)


def keep_rows(prediction_ids: Sequence[str], exemplar: Sequence[bool], rate: float) -> list[bool]:
    """One decision a row: exemplars always, others by ``in_sample``."""
    if rate >= 1:
        return [True] * len(prediction_ids)
    return [
        marked or (rate > 0 and in_sample(name, rate)) for name, marked in zip(prediction_ids, exemplar, strict=True)
    ]
