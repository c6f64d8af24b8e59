"""Members of a pane's bounded samples: hashes of distinct inputs, and new category tokens.

The hash of a row is the sum over its columns of a mixed hash of name and value, modulo 2**64: absent columns add
nothing, so the columns other rows of the batch have do not matter. Equal numbers hash alike whatever their type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.aggregate.convert import INVALID, NULL, VALID
from mlmon_sidecar.records import Sample
from mlmon_sidecar.statistics.layout import category_token
from mlmon_sidecar.statistics.samples import INPUTS_KEPT, NEW_KEPT, smallest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.aggregate.convert import Codes
    from mlmon_sidecar.records import FloatVector, IntVector

    Hashes = NDArray[np.uint64]

MAX_VALUE_TEXT = 120  # characters of a token as an example
_NESTED = "\x00nested"
_SIGN_BIT = np.uint64(1)


def input_hashes(
    names: Sequence[str], columns: Sequence[Sequence[object]], values: FloatVector, codes: Codes
) -> Hashes:
    """(rows,): one 64-bit hash a row, over ``columns`` and their conversion by ``to_matrix``."""
    if not names:
        return np.zeros(values.shape[1], dtype=np.uint64)
    words = (values + 0.0).view(np.uint64)  # adding zero makes one of the two zeros
    texts: dict[str, int] = {}
    for column, row in zip(*np.nonzero(codes == INVALID), strict=True):
        words[column, row] = _text_word(columns[column][row], texts)
    seeds = np.array([hash64(name) for name in names], dtype=np.uint64)[:, None]
    mixed = _mix(_mix(words) + seeds + np.where(codes == VALID, np.uint64(0), np.uint64(INVALID)))
    hashes: Hashes = np.where(codes == NULL, np.uint64(0), mixed).sum(axis=0, dtype=np.uint64)
    return hashes


def smallest_inputs(hashes: Hashes, group: IntVector) -> dict[int, tuple[Sample, ...]]:
    """Group to its distinct inputs with the smallest hashes, ascending. Hashes are given in 63 bits."""
    order = np.lexsort((hashes, group))
    hashes, group = hashes[order], group[order]
    first = np.r_[True, (hashes[1:] != hashes[:-1]) | (group[1:] != group[:-1])]
    hashes, group = hashes[first], group[first]
    rank = np.arange(len(group)) - np.searchsorted(group, group, side="left")
    kept = rank < INPUTS_KEPT
    found: dict[int, list[Sample]] = {}
    for at, word in zip(group[kept].tolist(), (hashes[kept] >> _SIGN_BIT).tolist(), strict=True):
        found.setdefault(at, []).append(Sample(word, ""))
    return {at: smallest(members, INPUTS_KEPT) for at, members in found.items()}


def new_tokens(found: Iterable[tuple[int, str]]) -> dict[int, tuple[Sample, ...]]:
    """Group to examples among the (group, redacted token) pairs."""
    tokens: dict[int, set[str]] = {}
    for group, token in found:
        tokens.setdefault(group, set()).add(token)
    return {
        group: smallest((Sample(hash64(token) >> 1, token[:MAX_VALUE_TEXT]) for token in members), NEW_KEPT)
        for group, members in tokens.items()
    }


def hash64(text: str) -> int:
    """The same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _text_word(value: object, texts: dict[str, int]) -> int:
    token = category_token(value) if isinstance(value, (str, int, float)) else _NESTED
    word = texts.get(token)
    if word is None:
        word = texts[token] = hash64(token)
    return word


def _mix(words: Hashes) -> Hashes:
    """Finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
