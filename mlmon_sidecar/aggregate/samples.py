"""Members of a pane's bounded samples: hashes of distinct inputs, and new category tokens.

The hash of a row is the sum over its columns of a mixed hash of name and value, modulo 2**64: absent columns add
nothing, so the columns other rows of the batch have do not matter. Equal numbers hash alike whatever their type.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlmon_sidecar.aggregate.convert import INVALID, NULL
from mlmon_sidecar.records import Sample
from mlmon_sidecar.statistics.layout import category_token
from mlmon_sidecar.statistics.samples import INPUTS, INPUTS_KEPT, NEW_KEPT, NEW_PREFIX, merge_samples, smallest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.aggregate.convert import Codes, Column
    from mlmon_sidecar.records import FloatVector

    Hashes = NDArray[np.uint64]
    Samples = Mapping[str, tuple[Sample, ...]]

MAX_VALUE_TEXT = 120  # characters of a token as an example
_NESTED = "\x00nested"
_SIGN_BIT = np.uint64(1)
_WORD = (1 << 64) - 1
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class NewToken(NamedTuple):
    """A category the layout has never seen."""

    group: int
    feature: str
    token: str  # redacted


def input_hashes(names: Sequence[str], columns: Sequence[Column], values: FloatVector, codes: Codes | None) -> Hashes:
    """(rows,): one 64-bit hash a row, over ``columns`` and their conversion by ``to_matrix``."""
    if not names:
        return np.zeros(values.shape[1], dtype=np.uint64)
    words = (values + 0.0).view(np.uint64)  # adding zero makes one of the two zeros
    if codes is None:
        _mix(words)
        words += _seeds(tuple(names))
        _mix(words)
        return words.sum(axis=0, dtype=np.uint64)  # type: ignore[no-any-return]  # of that dtype
    invalid = codes == INVALID
    for at in np.flatnonzero(invalid.any(axis=1)).tolist():
        rows = np.flatnonzero(invalid[at])
        column = columns[at]
        found = column[rows].tolist() if isinstance(column, np.ndarray) else [column[row] for row in rows.tolist()]
        words[at, rows] = _text_words(found)
    _mix(words)
    words += _seeds(tuple(names))
    words[invalid] += np.uint64(INVALID)
    _mix(words)
    words[codes == NULL] = 0
    return words.sum(axis=0, dtype=np.uint64)  # type: ignore[no-any-return]  # of that dtype


def hash_of(name: str, value: object) -> int:
    """What one value of the column ``name`` adds to its row's hash, as ``input_hashes`` has it."""
    if value is None:
        return 0
    try:
        number = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        number = math.inf
    if math.isfinite(number):
        word, code = int.from_bytes(struct.pack(">d", number + 0.0), "big"), 0
    else:
        word, code = hash64(_text(value)), INVALID
    return _mixed(_mixed(word) + _seed(name) + code)


def inputs_with(hashes: Hashes, members: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """The distinct inputs with the smallest hashes, ascending: of ``hashes`` (rows,) and those known before.

    Hashes are given in 63 bits.
    """
    hashes = hashes >> _SIGN_BIT
    if len(members) >= INPUTS_KEPT:
        hashes = hashes[hashes < np.uint64(members[-1].hash)]
        if not len(hashes):
            return members
    found = sorted(set(hashes.tolist()))[:INPUTS_KEPT]
    return smallest((*members, *(Sample(word, "") for word in found)), INPUTS_KEPT)


def with_rows(samples: Samples, hashes: Hashes, tokens: Iterable[tuple[str, str]]) -> Samples:
    """The samples of a pane with those of further rows: their hashes (rows,), and (feature, redacted token)."""
    inputs = inputs_with(hashes, samples.get(INPUTS, ()))
    if inputs != samples.get(INPUTS):
        samples = dict(sorted({**samples, INPUTS: inputs}.items()))
    new: dict[str, set[str]] = {}
    for feature, token in tokens:
        new.setdefault(NEW_PREFIX + feature, set()).add(token)
    if not new:
        return samples
    return merge_samples(samples, {name: smallest(map(_example, said), NEW_KEPT) for name, said in new.items()})


def _example(token: str) -> Sample:
    return Sample(hash64(token) >> 1, token[:MAX_VALUE_TEXT])


def hash64(text: str) -> int:
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@lru_cache(maxsize=4096)
def _seed(name: str) -> int:
    return hash64(name)


@lru_cache(maxsize=64)
def _seeds(names: tuple[str, ...]) -> Hashes:
    """(names, 1)"""
    return np.array([_seed(name) for name in names], dtype=np.uint64)[:, None]


def _text(value: object) -> str:
    return category_token(value) if isinstance(value, (str, int, float)) else _NESTED


def _text_words(values: Sequence[object]) -> Hashes:
    texts = list(map(_text, values))
    words = {text: hash64(text) for text in set(texts)}
    return np.array([words[text] for text in texts], dtype=np.uint64)


def _mix(words: Hashes) -> None:
    """In place, the finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    2014."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(_FIRST)
    words ^= words >> np.uint64(27)
    words *= np.uint64(_SECOND)
    words ^= words >> np.uint64(31)


def _mixed(word: int) -> int:
    """The same for one word."""
    word &= _WORD
    word = (word ^ (word >> 30)) * _FIRST & _WORD
    word = (word ^ (word >> 27)) * _SECOND & _WORD
    return word ^ (word >> 31)
