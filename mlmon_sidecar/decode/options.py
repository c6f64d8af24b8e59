"""How the exchanges of one model are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlmon_sidecar.decode.embedding import Embedder, hashing_embedding
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.selectors import ALIAS_HEADERS, DEFAULT_MAX_ROWS, PROTOCOL_HEADERS, Selector, named_headers

VERSION_PLACE = "{version}"
KINDS = ("auto", "binary", "multiclass", "multilabel", "regression")
UNVERSIONED = "unversioned"
DEFAULT_THRESHOLD = 0.5  # where a binary model's class begins when nobody says otherwise
INPUT_TEXT, OUTPUT_TEXT = "input.text", "output.text"
GENERATED_TEXTS = frozenset({INPUT_TEXT, OUTPUT_TEXT})
"""Columns a language model's row has where they are named as text."""

_OPPOSITE = {"1": "0", "0": "1", "true": "false", "false": "true", "yes": "no", "no": "yes"}


def version_path(route: str) -> re.Pattern[str] | None:
    """The paths of a route such as ``POST /v2/models/m/versions/{version}/infer``; None where it has no such place."""
    _, _, path = route.partition(" ")
    if VERSION_PLACE not in path:
        return None
    parts = re.escape(path).replace(re.escape(VERSION_PLACE), "(?P<version>[^/]+)", 1)
    parts = parts.replace(re.escape(VERSION_PLACE), "[^/]+").replace(r"\*\*", ".+").replace(r"\*", "[^/]+")
    return re.compile(parts)


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """What one model's configuration says about its bodies.

    Attributes:
        name: model name.
        version: a constant, a selector, or None: then the path or the bodies may name it.
        version_paths: whole paths with a group "version".
        other_version: of exchanges that name none; None: "unversioned".
        id: the caller's own id; becomes the alias, and the column it names in the request is not a feature.
        features: where the rows are, when they are not where they usually are.
        score, predicted, confidence: when any is given, nothing is guessed.
        segment: one dimension to split by.
        kind: "auto" takes whole numbers, booleans and texts for classes and other numbers for scores.
        threshold: a binary class is ``positive`` when score >= threshold; None: 0.5 where kind is "binary".
        margin: confidence derived from probabilities is how far the first is ahead of the second, not the first itself.
        positive, negative: class names of a binary score; a missing ``negative`` is the usual opposite.
        class_names: of a probability vector, in order, where the answer itself does not name them.
        feature_names: names of positional values, in order; further ones are ``feature_<index>``.
        decoder: "auto", or a key in ``DECODERS``.
        max_rows: > 0.
        slow_ns: an exchange at least this long is kept as an exemplar; 0: none is.
        text: columns of free text that become figures; ``input.text`` and ``output.text`` of a language model.
        embedder: texts to vectors.
        content: whether a generation carries its prompt and its answer.
    """

    name: str
    version: str | Selector | None = None
    version_paths: tuple[re.Pattern[str], ...] = ()
    other_version: str | None = None
    id: Selector | None = None
    features: Selector | None = None
    score: Selector | None = None
    predicted: Selector | None = None
    confidence: Selector | None = None
    segment: Selector | None = None
    kind: str = "auto"
    threshold: float | None = None
    margin: bool = False
    positive: str = "1"
    negative: str | None = None
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    decoder: str = "auto"
    max_rows: int = DEFAULT_MAX_ROWS
    slow_ns: int = 0
    text: frozenset[str] = frozenset()
    embedder: Embedder = hashing_embedding
    content: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"models.{self.name}.prediction.kind: {self.kind!r} is not a kind of prediction",
                code="bad_kind",
                hint=f"Use one of {', '.join(KINDS)}.",
            )

    @property
    def keeps_text(self) -> bool:
        """Whether a language model's decoder holds prompt and answer."""
        return self.content or not self.text.isdisjoint(GENERATED_TEXTS)

    @property
    def selects_outputs(self) -> bool:
        """Whether predictions are where selectors say, and nowhere else."""
        return self.score is not None or self.predicted is not None or self.confidence is not None

    @property
    def is_binary(self) -> bool:
        """Whether a score speaks for one class against all else."""
        return self.kind == "binary" or (self.kind == "auto" and self.threshold is not None)

    @property
    def cut(self) -> float:
        """The threshold in force for a binary score."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold

    @property
    def other_class(self) -> str:
        """The class of a binary score below the threshold."""
        return self.negative if self.negative is not None else _OPPOSITE.get(self.positive, f"not {self.positive}")

    @property
    def constant_version(self) -> str:
        """The version of an exchange that says nothing itself."""
        named = self.version if isinstance(self.version, str) else None
        return named or self.other_version or UNVERSIONED

    @property
    def headers(self) -> frozenset[bytes]:
        """Lower-case names of the headers that decoding needs, of requests and responses alike."""
        named = (self.version, self.id, self.segment, self.score, self.predicted, self.confidence)
        always = PROTOCOL_HEADERS.union(ALIAS_HEADERS if self.id is None else ())
        return always | named_headers(each for each in named if isinstance(each, Selector))
