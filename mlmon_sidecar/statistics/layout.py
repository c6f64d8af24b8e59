"""What each cell of a pane's vector means. Frozen, hashed, one per model.

A layout never changes under its hash, so vectors of one hash add up wherever they were counted. What the counts are
compared with (the reference) is another record and may be replaced freely.

Cells come twice where an alarm may rest on them: ``rows`` count rows and feed the figures people read; ``weight``
counts requests (a row of a request with r rows weighs 1/r, in units of 2**-20) and feeds the detector, because rows
that come together are not independent.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.embedding_space import EmbeddingCells, EmbeddingSpace, embedding_cells
from mlmon_sidecar.statistics.joint_space import ALL_TOGETHER, JointCells, JointSpace, joint_cells
from mlmon_sidecar.statistics.segments import NO_SEGMENTS, SegmentCells, SegmentSpace, block_sources

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.bin_table import BinTable

LAYOUT_FORMAT = 1

DURATION_EDGES = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Seconds. The OpenTelemetry advice for HTTP durations, widened at both ends for model servers."""

CONFIDENCE_EDGES = tuple(k / 50 for k in range(1, 50))
CONFIDENCE_ALARM = tuple(range(4, 49, 5))  # every fifth edge: .1, .2 ... .9
IDENTICAL_BITS = 32
FIXED_POINT_UNIT = 1 << 10  # q = rint(z * 2**10)
FIXED_POINT_CLIP = 64.0  # |z| beyond it is clipped: |q| <= 2**16, q*q <= 2**32, so 2**31 rows fit in int64


@dataclass(frozen=True, slots=True)
class NumericFeature:
    """Bins ``x <= edges[0]``, ``edges[0] < x <= edges[1]``, ..., ``x > edges[-1]``."""

    name: str
    edges: tuple[float, ...]  # strictly ascending, finite; may be empty (constant column)
    alarm: tuple[int, ...]  # ascending indices into edges
    minimum: float  # below it a value is out of range
    maximum: float
    center: float  # moments are of z = (x - center) / scale
    scale: float  # > 0
    kind: str = "numeric"


@dataclass(frozen=True, slots=True)
class CategoricalFeature:
    """Bins: each of ``categories``, then OTHER (known to the reference but not listed), then NEW (never seen)."""

    name: str
    categories: tuple[str, ...]  # most frequent first, at most 100; tokens as ``category_token`` writes them
    alarm: int  # the first ``alarm`` categories have cells of their own in the detector; at most 20
    known: tuple[str, ...] = ()  # hashed tokens of further known categories
    kind: str = "categorical"


Feature = NumericFeature | CategoricalFeature


@dataclass(frozen=True, slots=True)
class PredictionSpace:
    """What the model answers with. ``classes`` empty: classes are unknown; ``score_edges`` empty: no score."""

    kind: str  # "binary", "multiclass", "regression" or "none"
    classes: tuple[str, ...] = ()  # predicted class cells: one each, then one for any other
    positive: str = ""  # the class the score speaks for; binary only
    score_edges: tuple[float, ...] = ()
    score_alarm: tuple[int, ...] = ()
    score_center: float = 0.0
    score_scale: float = 1.0
    threshold: float | None = None
    joint: bool = False  # confidence is also counted by predicted class; several classes only


@dataclass(frozen=True, slots=True)
class NumericCells:
    bins: slice  # rows, len(edges) + 1
    alarm: slice  # weight, len(alarm) + 1
    null: int  # rows; the next cell is weight. The same for the three below
    invalid: int  # not a number, infinite, or of another type
    below: int
    above: int
    moments: int  # sum of q, then sum of q*q, over valid rows


@dataclass(frozen=True, slots=True)
class CategoricalCells:
    bins: slice  # rows, len(categories) + 2: OTHER, NEW last
    alarm: slice  # weight, alarm + 2: OTHER, NEW last
    null: int  # rows, then weight
    invalid: int  # rows, then weight; nested values


@dataclass(frozen=True, slots=True)
class PredictionCells:
    rows: int  # rows with any prediction; the next cell is weight
    classes: slice  # rows, len(classes) + 1
    class_weight: slice
    score_class: slice  # rows, (len(score_edges) + 1) x (len(classes) + 1), score-major
    score_alarm: slice  # weight, len(score_alarm) + 1; empty without score
    score_moments: int  # sum of q, then of q*q
    score_rows: int  # rows with a score
    confidence: slice  # rows, 50
    confidence_alarm: slice  # weight, 10
    confidence_class: slice  # rows, 50 x (len(classes) + 1), confidence-major; empty unless ``joint``
    identical: slice  # 32 hash-bit counters over the predictions' text: all the same iff each is 0 or rows
    confidence_ppm: int  # sum of confidence in 1e-6, for the mean


@dataclass(frozen=True, slots=True)
class TrafficCells:
    rows: int  # decoded rows; the next cell is weight
    requests: int  # every exchange, decoded or not
    ok: int
    client_error: int
    server_error: int
    aborted: int
    request_bytes: int
    response_bytes: int
    duration_us: int  # sum
    duration: slice  # len(DURATION_EDGES) + 1
    first_byte_us: int
    first_byte: slice
    decoded: int  # exchanges that became rows


@dataclass(frozen=True)
class Layout:
    """The frozen cutting of one model's vector."""

    model: str
    features: tuple[Feature, ...]
    prediction: PredictionSpace
    embeddings: tuple[EmbeddingSpace, ...] = ()
    joint: JointSpace | None = None
    segments: SegmentSpace = NO_SEGMENTS

    @cached_property
    def hash(self) -> str:
        """16 hex digits over the canonical document."""
        return hashlib.sha256(orjson.dumps(self.to_document(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    @cached_property
    def traffic(self) -> TrafficCells:
        at = _Cursor(0)
        bins = len(DURATION_EDGES) + 1
        return TrafficCells(
            rows=at.take(2), requests=at.take(1), ok=at.take(1), client_error=at.take(1), server_error=at.take(1),
            aborted=at.take(1), request_bytes=at.take(1), response_bytes=at.take(1), duration_us=at.take(1),
            duration=at.span(bins), first_byte_us=at.take(1), first_byte=at.span(bins), decoded=at.take(1),
        )  # fmt: skip

    @cached_property
    def _after_traffic(self) -> int:
        return self.traffic.decoded + 1

    @cached_property
    def outputs(self) -> PredictionCells:
        """Cells of the predictions."""
        at, space = _Cursor(self._after_traffic), self.prediction
        scored = bool(space.score_edges)
        classes = len(space.classes) + 1
        return PredictionCells(
            rows=at.take(2), classes=at.span(classes), class_weight=at.span(classes),
            score_class=at.span((len(space.score_edges) + 1) * classes if scored else 0),
            score_alarm=at.span(len(space.score_alarm) + 1 if scored else 0),
            score_moments=at.take(2), score_rows=at.take(1),
            confidence=at.span(len(CONFIDENCE_EDGES) + 1), confidence_alarm=at.span(len(CONFIDENCE_ALARM) + 1),
            confidence_class=at.span((len(CONFIDENCE_EDGES) + 1) * classes if space.joint else 0),
            identical=at.span(IDENTICAL_BITS), confidence_ppm=at.take(1),
        )  # fmt: skip

    @cached_property
    def cells(self) -> Mapping[str, NumericCells | CategoricalCells]:
        """Cells of each feature, by name, in the order of ``features``."""
        at = _Cursor(self.outputs.confidence_ppm + 1)
        return {feature.name: _feature_cells(feature, at) for feature in self.features}

    @cached_property
    def embedding_start(self) -> int:
        """Behind the cells of single features; from here on cells are of several together."""
        ends = (c.moments if isinstance(c, NumericCells) else c.invalid for c in self.cells.values())
        return max((end + 2 for end in ends), default=self.outputs.confidence_ppm + 1)

    @cached_property
    def embedding_cells(self) -> Mapping[str, EmbeddingCells]:
        """Cells of each embedded column, by name."""
        at, found = self.embedding_start, dict[str, EmbeddingCells]()
        for space in self.embeddings:
            found[space.name] = embedding_cells(space, at)
            at = found[space.name].end
        return found

    @cached_property
    def joint_cells(self) -> Mapping[str, JointCells]:
        """Cells of each unit of features that are counted together."""
        return {} if self.joint is None else joint_cells(self.joint, self._after_embeddings)

    @cached_property
    def _after_embeddings(self) -> int:
        return max((cells.end for cells in self.embedding_cells.values()), default=self.embedding_start)

    @cached_property
    def segment_cells(self) -> SegmentCells:
        """Blocks of the segments, behind all other cells; none where rows are not split."""
        first = max((cells.alarm.stop for cells in self.joint_cells.values()), default=self._after_embeddings)
        columns = [self.cells[name] for name in self.segments.columns]
        sources = block_sources(self.traffic.rows, self.prediction, self.outputs, columns)
        return SegmentCells(self.segments, tuple(sources), first)

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return self.segment_cells.end

    def feature(self, name: str) -> Feature:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Feature]:
        return {feature.name: feature for feature in self.features}

    def numeric(self) -> Iterator[tuple[NumericFeature, NumericCells]]:
        for feature in self.features:
            cells = self.cells[feature.name]
            if isinstance(feature, NumericFeature) and isinstance(cells, NumericCells):
                yield feature, cells

    @cached_property
    def numeric_bins(self) -> BinTable:
        from mlmon_sidecar.statistics.bin_table import BinTable  # a server that ships raw loads no numpy

        return BinTable.of((feature.name, cells.bins) for feature, cells in self.numeric())

    @cached_property
    def categorical_bins(self) -> BinTable:
        from mlmon_sidecar.statistics.bin_table import BinTable

        return BinTable.of((feature.name, cells.bins) for feature, cells in self.categorical())

    def categorical(self) -> Iterator[tuple[CategoricalFeature, CategoricalCells]]:
        for feature in self.features:
            cells = self.cells[feature.name]
            if isinstance(feature, CategoricalFeature) and isinstance(cells, CategoricalCells):
                yield feature, cells

    def to_document(self) -> dict[str, Any]:
        """JSON-able; ``from_document`` reads it back to an equal layout with an equal hash."""
        return {
            "format": LAYOUT_FORMAT,
            "model": self.model,
            "features": [asdict(feature) for feature in self.features],
            "prediction": _space_document(self.prediction),
            **self._sections(),
        }

    def _sections(self) -> dict[str, Any]:
        """Those that there is something to say of: a layout without them keeps the hash it always had."""
        sections: dict[str, Any] = {}
        if self.embeddings:
            sections["embeddings"] = [asdict(space) for space in self.embeddings]
        if self.joint is not None:
            sections["joint"] = asdict(self.joint)
        if self.segments.dimensions:
            sections["segments"] = asdict(self.segments)
        return sections

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Layout:
        """Raises ``BaselineError`` for another format or a document that is not a layout."""
        if document.get("format") != LAYOUT_FORMAT:
            raise BaselineError(
                f"layout format {document.get('format')!r} is not {LAYOUT_FORMAT}",
                code="layout_format",
                hint="Build the baseline again with this version of mlmon.",
            )
        try:
            features = tuple(_read_feature(item) for item in document["features"])
            space = PredictionSpace(**_tuples(document["prediction"]))
            embeddings = tuple(map(EmbeddingSpace.from_document, document.get("embeddings", ())))
            joint = JointSpace.from_document(document["joint"]) if "joint" in document else None
            segments = SegmentSpace.from_document(document["segments"]) if "segments" in document else NO_SEGMENTS
            layout = cls(document["model"], features, space, embeddings=embeddings, joint=joint, segments=segments)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BaselineError(
                "the layout is incomplete", code="layout_invalid", hint=f"Missing or wrong: {error}"
            ) from error
        _validate(layout)
        return layout

    @classmethod
    def bare(cls, model: str) -> Layout:
        """Traffic, and whether predictions are identical: what can be counted before there is a baseline."""
        return cls(model=model, features=(), prediction=PredictionSpace(kind="none"))


def category_token(value: object) -> str:
    """A JSON scalar as category text: booleans ``true``/``false``, whole floats as integers, strings as they are."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return str(int(value))
    return repr(value)


def hashed_token(token: str) -> str:
    """``#`` and 16 hex digits: how a baseline names a category too rare to be written out."""
    return "#" + hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class _Cursor:
    def __init__(self, start: int) -> None:
        self._at = start

    def take(self, cells: int) -> int:
        start = self._at
        self._at += cells
        return start

    def span(self, cells: int) -> slice:
        start = self.take(cells)
        return slice(start, start + cells)


def _feature_cells(feature: Feature, at: _Cursor) -> NumericCells | CategoricalCells:
    if isinstance(feature, NumericFeature):
        return NumericCells(
            bins=at.span(len(feature.edges) + 1), alarm=at.span(len(feature.alarm) + 1),
            null=at.take(2), invalid=at.take(2), below=at.take(2), above=at.take(2), moments=at.take(2),
        )  # fmt: skip
    return CategoricalCells(
        bins=at.span(len(feature.categories) + 2), alarm=at.span(feature.alarm + 2), null=at.take(2), invalid=at.take(2)
    )


def _space_document(space: PredictionSpace) -> dict[str, Any]:
    """Without ``joint`` where it does not hold: such layouts have the hash they had before there was one."""
    document = asdict(space)
    if not space.joint:
        del document["joint"]
    return document


def _tuples(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}


def _read_feature(item: Mapping[str, Any]) -> Feature:
    fields = _tuples(item)
    return NumericFeature(**fields) if fields["kind"] == "numeric" else CategoricalFeature(**fields)


def _validate(layout: Layout) -> None:
    names = [feature.name for feature in layout.features]
    if len(set(names)) != len(names):
        raise BaselineError("a feature is listed twice", code="layout_invalid", hint="Feature names must be unique.")
    for feature in layout.features:
        if isinstance(feature, NumericFeature):
            _ascending(feature.name, feature.edges)
            if not (math.isfinite(feature.scale) and feature.scale > 0):
                raise BaselineError(f"feature {feature.name!r}: scale must be > 0", code="layout_invalid")
    _ascending("score", layout.prediction.score_edges)
    layout.segments.require_valid(names)
    numeric = {feature.name for feature, _ in layout.numeric()}
    for space in layout.embeddings:
        _ascending(space.name, space.edges)
        if not numeric.issuperset(space.parts) or len(space.centroids) < 2:
            raise BaselineError(f"{space.name!r}: parts or centroids are missing", code="layout_invalid")
    if layout.joint is not None:
        for name, edges in layout.joint.edges.items():
            _ascending(name, edges)
        if not numeric.issuperset(layout.joint.columns) or not numeric.issuperset(
            layout.joint.edges.keys() - {ALL_TOGETHER}
        ):
            raise BaselineError("features that are counted together are missing", code="layout_invalid")


def _ascending(name: str, edges: Sequence[float]) -> None:
    if any(not math.isfinite(edge) for edge in edges) or any(a >= b for a, b in itertools.pairwise(edges)):
        raise BaselineError(f"{name!r}: edges must ascend and be finite", code="layout_invalid")
