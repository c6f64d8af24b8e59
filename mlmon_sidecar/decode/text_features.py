"""Free text and vectors as numeric columns, which everything behind decoding counts like any other.

A text ``t`` becomes ``t.length`` (characters), ``t.words``, ``t.digits``, ``t.upper``, ``t.punctuation`` and
``t.non_ascii`` (shares of its characters) and ``t.embedding.0`` to ``.7``; a vector ``v`` becomes ``v.dimension``,
``v.norm`` and ``v.embedding.0`` to ``.7``. The text and the vector themselves go no further.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

import numpy as np

from mlmon_sidecar.decode.embedding import MAX_DIMENSION, PROJECTIONS, Embedder, hashing_embedding, projections

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column
    from mlmon_sidecar.records import FloatVector

MAX_ARRAY = 64  # elements of a list inside a row; a longer one is a vector, or nothing that is read
LONG_TEXT = 512  # characters; a longer one is nobody's category, configured as text or not
READ_CHARACTERS = 16_384  # of one text; what follows counts in its length alone
SHARES: Final = ("digits", "upper", "punctuation", "non_ascii")
_TAKEN_APART = frozenset({str, list})
_NO_KINDS: frozenset[type] = frozenset()  # of the numbers of an array
EMBEDDING_FAILED = "embedding"
"""Key under which texts that the configured embedder could not read are counted."""

_OTHER, _DIGIT, _UPPER, _PUNCTUATION, _NON_ASCII = range(5)
_KINDS = np.full(256, _OTHER, dtype=np.int64)  # of a code point; all from 128 on are alike
_KINDS[48:58] = _DIGIT
_KINDS[65:91] = _UPPER
_KINDS[[*range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127)]] = _PUNCTUATION
_KINDS[128:] = _NON_ASCII


def text_columns(
    name: str,
    texts: Sequence[str | None],
    skipped: Counter[str],
    embedder: Embedder = hashing_embedding,
) -> dict[str, list[float | None]]:
    """Columns of one text column; None where there is no text.

    An embedder that fails, or gives vectors of another number or of no finite length, costs the embedding alone; it is
    counted in ``skipped``.
    """
    at = [row for row, text in enumerate(texts) if text is not None]
    present = [text for text in texts if text is not None]
    rows: list[tuple[float, ...]] = [_statistics(text) for text in present]
    names = ["length", "words", *SHARES]
    folded = _folded(present, embedder)
    if folded is None:
        skipped[EMBEDDING_FAILED] += len(present)
    else:
        names += [f"embedding.{axis}" for axis in range(PROJECTIONS)]
        rows = [(*row, *folded[number].tolist()) for number, row in enumerate(rows)]
    return _spread(name, names, at, rows, len(texts))


def vector_columns(name: str, vectors: Sequence[Sequence[object] | None]) -> dict[str, list[float | None]]:
    """Columns of one vector column; None where there is no vector, or one that holds more than finite numbers."""
    at, rows = [], []
    for row, vector in enumerate(vectors):
        array = None if vector is None else as_vector(vector)
        if array is None:
            continue
        folded = projections(array[np.newaxis])[0]
        at.append(row)
        rows.append((float(len(array)), math.hypot(*array.tolist()), *folded.tolist()))
    names = ["dimension", "norm", *(f"embedding.{axis}" for axis in range(PROJECTIONS))]
    return _spread(name, names, at, rows, len(vectors))


def as_vector(values: Sequence[object]) -> FloatVector | None:
    """The values as one vector; None where they are not all finite numbers, or are too many."""
    try:
        array = np.array(values, dtype=np.float64) if set(map(type, values)) <= {int, float} else None
    except (OverflowError, ValueError):
        return None
    fits = array is not None and array.ndim == 1 and 0 < array.size <= MAX_DIMENSION
    return array if array is not None and fits and np.isfinite(array).all() else None


def _statistics(text: str) -> tuple[float, ...]:
    read = text[:READ_CHARACTERS]
    codes = np.frombuffer(read.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = np.bincount(_KINDS[np.minimum(codes, 255)], minlength=5)
    shares = (kinds[1:] / max(1, len(read))).tolist()
    return (float(len(text)), float(len(read.split())), *shares)


def _folded(texts: Sequence[str], embedder: Embedder) -> np.typing.NDArray[np.float64] | None:
    try:
        vectors = np.asarray(embedder([text[:READ_CHARACTERS] for text in texts]), dtype=np.float64)
        sound = vectors.ndim == 2 and len(vectors) == len(texts) and np.isfinite(vectors).all()
        return projections(vectors) if sound else None
    except Exception:  # the user's own function or a model: whatever it does, the row is still good
        return None


def _spread(
    name: str, names: Sequence[str], at: Sequence[int], rows: Sequence[tuple[float, ...]], count: int
) -> dict[str, list[float | None]]:
    columns: dict[str, list[float | None]] = {f"{name}.{part}": [None] * count for part in names}
    for values, column in zip(zip(*rows, strict=True), columns.values(), strict=False):
        for row, value in zip(at, values, strict=True):
            column[row] = value
    return columns


def derived(
    columns: Mapping[str, Column],
    text: frozenset[str],
    skipped: Counter[str],
    embedder: Embedder = hashing_embedding,
) -> dict[str, Column]:
    """The columns with those named in ``text``, and every text longer than ``LONG_TEXT``, taken apart.

    Each cell is judged by itself, so that a row gives the same figures whichever rows it is decoded with.
    """
    result: dict[str, Column] = {}
    for name, column in columns.items():
        kinds = _NO_KINDS if isinstance(column, np.ndarray) else set(map(type, column))
        if _TAKEN_APART.isdisjoint(kinds) and name not in text:
            result[name] = column
            continue
        if _has_vectors(column, kinds):
            result.update(vector_columns(name, [value if isinstance(value, list) else None for value in column]))
            continue
        named = name in text
        texts = [_text(value, named=named) for value in column] if named or _has_long_text(column, kinds) else []
        if not named and all(found is None for found in texts):
            result[name] = column
            continue
        if not named:
            result[name] = [None if found is not None else value for value, found in zip(column, texts, strict=True)]
        result.update(text_columns(name, texts, skipped, embedder))
    return result


def _has_vectors(column: Column, kinds: AbstractSet[type]) -> bool:
    """Whether every value is a list, and any of them a vector. In requests they were taken apart before."""
    return list in kinds and {list, type(None)}.issuperset(kinds) and any(is_vector(value) for value in column)


def is_vector(value: object) -> bool:
    """Whether a value is a list of numbers too long to be features of their own. Whole numbers are ids of tokens."""
    if not isinstance(value, list) or len(value) <= MAX_ARRAY:
        return False
    return float in set(map(type, value)) and as_vector(value) is not None


def _has_long_text(column: Column, kinds: AbstractSet[type]) -> bool:
    if str not in kinds:
        return False
    texts = column if len(kinds) == 1 else [value for value in column if type(value) is str]
    return max(map(len, texts)) > LONG_TEXT


def _text(value: object, *, named: bool) -> str | None:
    return value if isinstance(value, str) and (named or len(value) > LONG_TEXT) else None
