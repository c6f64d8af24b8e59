"""How the exchanges of one model are read."""

from __future__ import annotations

from dataclasses import dataclass

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.selectors import Selector, named_headers

KINDS = ("auto", "binary", "multiclass", "regression")
UNVERSIONED = "unversioned"
DEFAULT_MAX_ROWS = 10_000  # rows of one request; a request with more is counted, not read
DEFAULT_THRESHOLD = 0.5  # where a binary model's class begins when nobody says otherwise
ALWAYS_NEEDED_HEADERS = frozenset({b"content-type", b"content-encoding"})

_OPPOSITE = {"1": "0", "0": "1", "true": "false", "false": "true", "yes": "no", "no": "yes"}


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """What one model's configuration says about its bodies.

    Attributes:
        name: model name.
        version: a constant, a selector, or None ("unversioned").
        id: the caller's own id; becomes the alias, and the column it names in the request is not a feature.
        features: where the rows are, when they are not where they usually are.
        score, predicted, confidence: when any is given, nothing is guessed.
        segment: one dimension to split by.
        kind: "auto" takes whole numbers, booleans and texts for classes and other numbers for scores.
        threshold: a binary class is ``positive`` when score >= threshold; None: 0.5 where kind is "binary".
        positive, negative: class names of a binary score; a missing ``negative`` is the usual opposite.
        feature_names: names of positional values, in order; further ones are ``feature_<index>``.
        decoder: key in ``DECODERS``.
        max_rows: > 0.
        slow_ns: an exchange at least this long is kept as an exemplar; 0: none is.
    """

    name: str
    version: str | Selector | None = None
    id: Selector | None = None
    features: Selector | None = None
    score: Selector | None = None
    predicted: Selector | None = None
    confidence: Selector | None = None
    segment: Selector | None = None
    kind: str = "auto"
    threshold: float | None = None
    positive: str = "1"
    negative: str | None = None
    feature_names: tuple[str, ...] = ()
    decoder: str = "json"
    max_rows: int = DEFAULT_MAX_ROWS
    slow_ns: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"models.{self.name}.prediction.kind: {self.kind!r} is not a kind of prediction",
                code="bad_kind",
                hint=f"Use one of {', '.join(KINDS)}.",
            )

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
        return self.version if isinstance(self.version, str) and self.version else UNVERSIONED

    @property
    def headers(self) -> frozenset[bytes]:
        """Lower-case names of the headers that decoding needs, of requests and responses alike."""
        named = (self.version, self.id, self.segment, self.score, self.predicted, self.confidence)
        return ALWAYS_NEEDED_HEADERS | named_headers(each for each in named if isinstance(each, Selector))
