"""A first pass over a table: which columns it has, and how its predictions read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.predictions import KindWatch, positive_of
from mlmon_sidecar.baseline.tables import Source
from mlmon_sidecar.baseline.time_unit import TimeUnit
from mlmon_sidecar.baseline.tokens import Texts
from mlmon_sidecar.decode.embedding import Embedder, hashing_embedding
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.decode.text_features import is_vector
from mlmon_sidecar.errors import BaselineError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED_CLASSES = 8192  # distinct texts of a class or label column that are told apart
MAX_WEIGHT = 1 << 31  # rows one baseline may stand for: sums of squares stay below 2**63


@dataclass(frozen=True, slots=True)
class Purpose:
    """Whose baseline it is, and how its predictions read: the settings that serve.

    Attributes:
        kind: "binary", "multiclass", "regression", or "auto" to tell by the predictions.
        threshold: a binary class is ``positive`` when score >= threshold; None: 0.5.
        positive: "" to tell by the classes.
        text, embedder: as in ``DecodeOptions``.
        segments: dimensions to split by.
    """

    model: str
    version: str = "baseline"
    kind: str = "auto"
    threshold: float | None = None
    positive: str = ""
    text: frozenset[str] = frozenset()
    embedder: Embedder = hashing_embedding
    segments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first pass found.

    Attributes:
        names: of all columns, in the table's order, or by name where it has none.
        vectors: columns that hold nothing but lists, any of them a vector.
        rows: what the rows stand for: their number, or the sum of their weights.
        kind: "binary", "multiclass", "regression" or "none".
        labels: rows of each label as it is written; empty without labels or with too many different ones.
        time_unit_ns: nanoseconds of one, where times are whole numbers (``TimeUnit``).
    """

    names: tuple[str, ...]
    vectors: frozenset[str]
    rows: int
    kind: str
    options: DecodeOptions
    labels: Mapping[str, int] = field(default_factory=dict)
    time_unit_ns: int = 1


def survey(
    source: Source, roles: Roles, purpose: Purpose, chunk_rows: int, progress: Callable[[float], None]
) -> Survey:
    """Raises ``BaselineError``: ``column_missing``, ``weight_invalid``, ``too_many_rows``."""
    shapes: dict[str, _Shape] = {}
    kinds, predicted, labels = KindWatch(), Texts(NAMED_CLASSES), Texts(NAMED_CLASSES)
    rows, unit = 0, TimeUnit()
    for columns, done in source.chunks(chunk_rows):
        for name, column in columns.items():
            shapes.setdefault(name, _Shape()).add(column)
        counts = row_counts(columns, roles)
        rows += sum(counts)
        kinds.add(columns.get(roles.prediction, ()), columns.get(roles.score, ()))
        predicted.add(_classes(columns.get(roles.prediction, ()), counts))
        labels.add(_classes(columns.get(roles.label, ()), counts))
        unit.add(columns.get(roles.timestamp, ()))
        progress(done)
    _check(roles, shapes, rows)
    kind = kinds.kind if purpose.kind == "auto" else purpose.kind
    named = {} if labels.is_crowded else labels.tallied().counts
    seen = set(named) | set(() if predicted.is_crowded else predicted.tallied().counts)
    return Survey(
        names=tuple(shapes if source.ordered else sorted(shapes)),
        vectors=frozenset(name for name, shape in shapes.items() if shape.vector and not shape.other),
        rows=rows,
        kind=kind,
        options=_options(purpose, kind, sorted(seen)),
        labels=named,
        time_unit_ns=unit.ns,
    )


def row_counts(columns: Mapping[str, Sequence[object]], roles: Roles) -> list[int]:
    """How many rows each row stands for. Raises ``BaselineError``: ``weight_invalid``."""
    rows = max(map(len, columns.values()), default=0)
    if not roles.weight:
        return [1] * rows
    given = columns.get(roles.weight, [None] * rows)
    if any(not _is_count(value) for value in given):
        raise BaselineError(
            f"column {roles.weight!r} holds weights that are no numbers of rows",
            code="weight_invalid",
            hint="A weight says how many rows a row stands for: a whole number, 0 or more.",
        )
    return [int(value) for value in given]  # type: ignore[call-overload]  # checked above


def _is_count(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= MAX_WEIGHT and value == int(value)


class _Shape:
    """Whether a column holds lists, vectors, or anything else."""

    def __init__(self) -> None:
        self.vector = self.other = False

    def add(self, column: Sequence[object]) -> None:
        kinds = set(map(type, column))
        self.other = self.other or bool(kinds - {list, type(None)})
        if list in kinds and not self.vector:
            self.vector = any(is_vector(value) for value in column)


def _classes(column: Sequence[object], counts: Sequence[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value, count in zip(column, counts, strict=False):
        name = class_text(value)
        if name is not None:
            found[name] = found.get(name, 0) + count
    return found


def _check(roles: Roles, shapes: Mapping[str, _Shape], rows: int) -> None:
    missing = sorted(roles.named() - shapes.keys()) if shapes else []
    if missing:
        raise BaselineError(
            f"the data has no column {missing[0]!r}",
            code="column_missing",
            hint=f"It has {', '.join(sorted(shapes)[:20])}.",
        )
    if rows > MAX_WEIGHT:
        raise BaselineError(
            f"the rows stand for {rows} rows, more than {MAX_WEIGHT}",
            code="too_many_rows",
            hint="Divide the weights by a common number, or give a part of the data.",
        )


def _options(purpose: Purpose, kind: str, classes: Sequence[str]) -> DecodeOptions:
    positive = purpose.positive or (positive_of(classes) if kind == "binary" else "1")
    others = [name for name in classes if name != positive]
    return DecodeOptions(
        name=purpose.model,
        version=purpose.version,
        kind="auto" if kind == "none" else kind,
        threshold=purpose.threshold,
        positive=positive,
        negative=others[0] if kind == "binary" and len(others) == 1 else None,
        text=purpose.text,
        embedder=purpose.embedder,
    )
