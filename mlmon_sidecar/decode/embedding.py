"""Vectors for texts without a model, and any vector folded into a few numbers.

``hashing_embedding`` is feature hashing (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning",
arXiv:0902.2206): every word and every three bytes in a row add +1 or -1 at one of ``DIMENSIONS`` places, both told by a
hash. It knows no meaning: texts are close where they share words and spellings, which is what a change of traffic
alters first.

``projections`` is a random sign projection (Achlioptas 2003, "Database-friendly random projections"): fixed signs,
told by SHAKE-256 of the dimension, so that every process folds alike. The unit vector is rounded to whole multiples of
``QUANTUM`` first: sums of integers below 2^53 are exact in floating point, in whatever order a library adds them.
"""

from __future__ import annotations

import hashlib
import importlib
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.errors import ConfigError, MissingExtra

Embedder = Callable[[Sequence[str]], Any]
"""Texts to one vector each, (texts, dimensions); the same text gives the same vector in every process."""

DIMENSIONS = 64
PROJECTIONS = 8
QUANTUM = 2.0**-24
MAX_DIMENSION = 65_536  # of a vector that is folded; 2^16 * 2^24 stays far below 2^53
_GRAM = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], dtype=np.uint32)  # odd, so that no byte is lost


def hashing_embedding(texts: Sequence[str]) -> NDArray[np.float64]:
    """(texts, 64) unit vectors, or zeros for a text without a word. The same in every process and on every machine.

    >>> vectors = hashing_embedding(["the cat sat", "The  cat sat", "invoice 4711"])
    >>> round(float(vectors[0] @ vectors[1]), 6), bool(vectors[0] @ vectors[2] < 0.5)
    (1.0, True)
    """
    counts = np.zeros((len(texts), DIMENSIONS))
    for row, text in enumerate(texts):
        words = text.lower().encode("utf-8", "replace").split()
        if words:
            hashes = np.concatenate([np.array([zlib.crc32(word) for word in words], dtype=np.uint32), _grams(words)])
            signs = np.where(hashes >> np.uint32(31), -1.0, 1.0)
            counts[row] = np.bincount(hashes & np.uint32(DIMENSIONS - 1), weights=signs, minlength=DIMENSIONS)
    return _unit(counts)


def projections(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows, 8) from finite (rows, dimensions): each of unit vectors' coordinates along fixed random signs.

    For vectors in random directions every column is about normal with mean 0 and variance 1.
    """
    signs = _signs(vectors.shape[1])
    whole = np.rint(_unit(vectors) / QUANTUM)
    return np.asarray(whole @ signs * QUANTUM)


def make_embedder(name: str | None) -> Embedder:
    """The embedder a configuration names; None: ``hashing_embedding``.

    Args:
        name: ``module:function`` of the user's own, or a sentence-transformers model that is on this machine.

    Raises:
        ConfigError: the function or the model cannot be loaded.
        MissingExtra: sentence-transformers is not installed.
    """
    if name is None:
        return hashing_embedding
    module, colon, function = name.partition(":")
    if colon:
        return _own_function(name, module, function)
    return _sentence_transformer(name)


def _own_function(name: str, module: str, function: str) -> Embedder:
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise _unusable(name, f"{type(error).__name__} while loading it.") from error
    if not callable(found):
        raise _unusable(name, "It is no function: it takes a list of texts and returns one vector each.")
    return found  # type: ignore[no-any-return]


def _sentence_transformer(name: str) -> Embedder:
    try:
        library: Any = importlib.import_module("sentence_transformers")
    except ImportError:
        raise MissingExtra("embeddings", f"the embedder {name!r}") from None
    try:
        model = library.SentenceTransformer(name, local_files_only=True)  # the monitor itself never downloads
    except Exception as error:
        raise _unusable(name, "Download the model first, and give its folder or name.") from error
    return lambda texts: model.encode(list(texts), show_progress_bar=False)


def _unusable(name: str, hint: str) -> ConfigError:
    return ConfigError(f"the embedder {name!r} cannot be used", code="bad_embedder", hint=hint)


def _grams(words: Sequence[bytes]) -> NDArray[np.uint32]:
    """Hashes of every three bytes in a row, words standing one space apart."""
    codes = np.frombuffer(b" " + b" ".join(words) + b" ", dtype=np.uint8).astype(np.uint32)
    hashes = codes[:-2] * _GRAM[0] + codes[1:-1] * _GRAM[1] + codes[2:] * _GRAM[2]
    hashes ^= hashes >> np.uint32(15)
    hashes *= np.uint32(0x27D4EB2F)
    return np.asarray(hashes ^ (hashes >> np.uint32(13)), dtype=np.uint32)


@lru_cache(maxsize=32)
def _signs(dimension: int) -> NDArray[np.float64]:
    """(dimension, 8) of -1 and +1."""
    if dimension > MAX_DIMENSION:
        raise ValueError(f"a vector has at most {MAX_DIMENSION} dimensions")
    drawn = hashlib.shake_256(f"mlmon projection of {dimension} dimensions".encode()).digest(dimension)
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8)).reshape(dimension, PROJECTIONS)
    return bits.astype(np.float64) * 2 - 1


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.max(np.abs(vectors), axis=1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(largest > 0, largest, 1.0)  # squares of what is huge would overflow
    norms = np.sqrt(np.sum(scaled * scaled, axis=1, keepdims=True))
    return np.asarray(scaled / np.where(norms > 0, norms, 1.0), dtype=np.float64)
