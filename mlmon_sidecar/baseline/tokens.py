"""Category texts in bounded memory: exact while there are few, the frequent ones and a sample when there are many.

Beyond ``cap`` distinct texts a first look finds candidates (Misra and Gries, "Finding repeated elements", 1982; merged
as in Agarwal et al., "Mergeable summaries", 2012): whatever holds more than ``2 / cap`` of the rows is among them. A
second look counts those exactly. Of all others, those with the smallest hashes are kept with their counts: a sample of
distinct texts that neither order nor split changes, since a hash once too large never comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mlmon_sidecar.aggregate.samples import hash64

HASHES = 1 << 64


class Tallied(NamedTuple):
    """What is known of one column's texts."""

    counts: Mapping[str, int]  # exact; all texts, or the frequent ones
    hashes: tuple[int, ...]  # of further ones, ascending
    unseen: float  # Good-Turing: the share of the next rows that brings a text never seen; > 0


class DistinctSample:
    """The ``size`` distinct texts of smallest hash with their exact counts."""

    def __init__(self, size: int) -> None:
        self._size, self._limit = size, HASHES
        self._counts: dict[int, int] = {}

    def add(self, counts: Mapping[str, int]) -> None:
        for text, count in counts.items():
            word = hash64(text)
            if word < self._limit:
                self._counts[word] = self._counts.get(word, 0) + count
        if len(self._counts) > 2 * self._size:
            self._prune()

    def counts(self) -> Mapping[int, int]:
        """Hash -> count, hashes ascending."""
        self._prune()
        return self._counts

    @property
    def distinct(self) -> float:
        """Distinct texts seen: exact up to ``size``, else estimated from the largest hash kept."""
        kept = self.counts()
        return len(kept) if self._limit == HASHES else (len(kept) - 1) * HASHES / max(kept)

    @property
    def is_exact(self) -> bool:
        """Whether every distinct text is in it."""
        self._prune()
        return self._limit == HASHES

    def _prune(self) -> None:
        ascending = sorted(self._counts)
        if len(ascending) > self._size:
            self._limit = ascending[self._size]
        self._counts = {word: self._counts[word] for word in ascending[: self._size]}


class Texts:
    """One column's texts, each as it may be kept."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._counts: dict[str, int] = {}
        self._total = 0
        self._closer: dict[str, int] = {}
        self._sample = DistinctSample(cap)
        self.is_crowded = False

    def add(self, counts: Mapping[str, int]) -> None:
        """In the first look."""
        for text, count in counts.items():
            self._counts[text] = self._counts.get(text, 0) + count
            self._total += count
        if len(self._counts) > self._cap:
            self.is_crowded = True
            self._shrink()

    def look_closer(self, counts: Mapping[str, int]) -> None:
        """In a second look at the same rows, where it ``is_crowded``."""
        for text, count in counts.items():
            if text in self._counts:
                self._closer[text] = self._closer.get(text, 0) + count
        self._sample.add(counts)

    def tallied(self) -> Tallied:
        """After a second look where it ``is_crowded``."""
        if not self.is_crowded:
            return Tallied(self._counts, (), unseen_rate(self._counts.values()))
        frequent = {text: count for text, count in self._closer.items() if count > 2 * self._total / self._cap}
        listed = set(map(hash64, frequent))
        sample = self._sample.counts()
        single = sum(1 for count in sample.values() if count == 1) / len(sample) * self._sample.distinct
        unseen = min(1.0, max(1.0, single) / self._total)
        return Tallied(frequent, tuple(word for word in sample if word not in listed), unseen)

    def _shrink(self) -> None:
        """Take the same from all, so that about half of them are left."""
        amount = sorted(self._counts.values(), reverse=True)[self._cap // 2]
        self._counts = {text: count - amount for text, count in self._counts.items() if count > amount}


def unseen_rate(counts: Iterable[int]) -> float:
    """Good-Turing: the next row brings an unseen category as often as rows brought one that stayed alone.

    Never 0: absence from m rows says "less than about 1/m".

    >>> unseen_rate([98, 1, 1])
    0.02
    """
    known = list(counts)
    return max(1, sum(1 for count in known if count == 1)) / max(1, sum(known))
