"""How the vectors of one column are counted together: nearest centroid, distance to it, and sums for display.

Decoding folds a text or a vector into ``PARTS`` numbers, the features ``name.embedding.0`` to ``.7``. Everything here
is in whole multiples q of 1 / ``EMBEDDING_UNIT`` of those numbers, |q| <= ``EMBEDDING_CLIP``: squares, products and
their sums stay below 2**53, so that no order of additions and no size of a batch changes a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = 8
EMBEDDING_UNIT = 1 << 10
EMBEDDING_CLIP = 1 << 18  # a unit vector of 65,536 dimensions reaches no further
FREQUENCIES = 16  # of the random Fourier features; each has a cosine and a sine
TURN_BITS = 30  # a whole turn of a phase is 2**30
WAVE_BITS = 12  # of a phase are looked up
WAVE_UNIT = 1 << 10  # cosine and sine 1


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """One column.

    Attributes:
        centroids: (clusters, PARTS) in q, 2 clusters or more.
        edges: ascending squared distances in q**2: bins ``d2 <= edges[0]``, ..., ``d2 > edges[-1]``.
        frequencies: (FREQUENCIES, PARTS), in 2**-TURN_BITS turns a q.
    """

    name: str
    centroids: tuple[tuple[int, ...], ...]
    edges: tuple[int, ...]
    frequencies: tuple[tuple[int, ...], ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of its features."""
        return part_names(self.name)

    @classmethod
    def from_document(cls, item: Mapping[str, Any]) -> EmbeddingSpace:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything that is no such space."""
        return cls(
            name=item["name"],
            centroids=_table(item["centroids"], PARTS),
            edges=tuple(map(int, item["edges"])),
            frequencies=_table(item["frequencies"], PARTS),
        )


@dataclass(frozen=True, slots=True)
class EmbeddingCells:
    """Only rows whose parts are all there are in any of them."""

    clusters: slice  # rows, one cell a centroid
    cluster_weight: slice
    distances: slice  # rows, len(edges) + 1
    distance_weight: slice
    sums: slice  # of q, PARTS
    waves: slice  # sums of cosines in WAVE_UNIT, then of sines; FREQUENCIES each

    @property
    def end(self) -> int:
        return int(self.waves.stop)


def embedding_cells(space: EmbeddingSpace, start: int) -> EmbeddingCells:
    """The cells of one column from ``start`` on."""
    sizes = (len(space.centroids),) * 2 + (len(space.edges) + 1,) * 2 + (PARTS, 2 * FREQUENCIES)
    spans = []
    for size in sizes:
        spans.append(slice(start, start + size))
        start += size
    return EmbeddingCells(*spans)


def part_names(column: str) -> tuple[str, ...]:
    """
    >>> part_names("note")[7]
    'note.embedding.7'
    """
    return tuple(f"{column}.embedding.{axis}" for axis in range(PARTS))


def embedded_columns(names: Iterable[str]) -> Sequence[str]:
    """Columns all of whose parts are among ``names``, in their order.

    >>> embedded_columns(["age", *part_names("note"), "x.embedding.0"])
    ['note']
    """
    held = dict.fromkeys(names)
    first = (name.removesuffix(".embedding.0") for name in held if name.endswith(".embedding.0"))
    return [column for column in first if all(part in held for part in part_names(column))]


def _table(rows: Sequence[Sequence[int]], width: int) -> tuple[tuple[int, ...], ...]:
    if any(len(row) != width for row in rows):
        raise ValueError(f"a row has not {width} numbers")
    return tuple(tuple(map(int, row)) for row in rows)
