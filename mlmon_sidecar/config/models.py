"""What is said about one model: where its traffic is, how its payloads read, and how it is judged."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from mlmon_sidecar.config.fields import (
    ConstantOrSelector,
    Duration,
    OptionalText,
    Route,
    SelectorText,
    Table,
    is_selector,
)
from mlmon_sidecar.interfaces import DECODER_NAMES
from mlmon_sidecar.selectors import DEFAULT_MAX_ROWS

MOST_ROWS = 1_000_000


class PredictionSettings(Table):
    """How a prediction is read from the response. A selector not set is guessed from the usual names."""

    kind: Literal["auto", "binary", "multiclass", "multilabel", "regression"] = Field(
        default="auto",
        description="What the model predicts; `auto` tells by the first predictions. `multilabel` (a set of "
        "classes) has to be said: a list may also be a ranking.",
        examples=["binary"],
    )
    score: SelectorText = Field(
        default=None, description="Selector of the score or predicted number.", examples=["response.score"]
    )
    predicted: SelectorText = Field(
        default=None, description="Selector of the predicted class.", examples=["response.label"]
    )
    confidence: SelectorText = Field(
        default=None, description="Selector of the confidence, from 0 to 1.", examples=["response.confidence"]
    )
    segment: SelectorText = Field(
        default=None, description="Selector of the segment the prediction belongs to.", examples=["request.country"]
    )
    classes: tuple[str, ...] = Field(
        default=(),
        description="Names of the classes in the order of a probability vector, where the answer does not name them.",
        examples=[["cat", "dog"]],
    )
    certainty: Literal["probability", "margin"] = Field(
        default="probability",
        description="Confidence where the answer gives none: the greatest probability, or how far it is ahead of the "
        "second.",
        examples=["margin"],
    )
    threshold: float | None = Field(
        default=None,
        description="A binary score at or above it means the positive class. Not set: 0.5 where the model is binary.",
        examples=[0.82],
    )
    positive: OptionalText = Field(
        default=None,
        description="The positive class of a binary model, as its labels write it. Not set: told by the data.",
        examples=["fraud"],
    )


class AssumeSettings(Table):
    """Silence as a label, where only one kind of outcome is ever reported."""

    label: OptionalText = Field(
        default=None, description="The class that silence means. Not set: silence means nothing.", examples=["legit"]
    )
    after: Duration = Field(
        default=timedelta(days=45),
        json_schema_extra={"default": "45d"},
        description="How long after the prediction, by the model's own time; shorter than `horizon`.",
        examples=["45d"],
    )


class PullSettings(Table):
    """Labels that the hub fetches by itself, from a database or from files."""

    url: OptionalText = Field(
        default=None,
        description="Database to read from: `sqlite:///file.db` or `postgresql://user@host/name` (needs psycopg; no "
        "password in it: use `?passfile=`). It is opened for reading alone.",
        examples=["sqlite:///verdicts.db"],
    )
    query: OptionalText = Field(
        default=None,
        description="One SELECT whose columns are `id`, `label` and the cursor, and perhaps `weight` and `source`.",
        examples=["SELECT tx AS id, verdict AS label, decided_at AS observed_at FROM verdicts"],
    )
    path: OptionalText = Field(
        default=None,
        description="In place of `url` and `query`: files to read, `*` stands for any text. Parquet (needs pyarrow), "
        "CSV or JSON Lines.",
        examples=["exports/verdicts-*.parquet"],
    )
    every: Duration = Field(
        default=timedelta(minutes=10),
        json_schema_extra={"default": "10m"},
        description="How long from the end of one pull to the next.",
        examples=["1h"],
    )
    cursor: str = Field(
        default="observed_at",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$",
        description="Column of the query that only grows: rows below the greatest one read are not read again.",
        examples=["updated_at"],
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Where columns have other names than `id`, `label`, `observed_at`, `weight` and `source`.",
        examples=[{"id": "tx", "label": "verdict"}],
    )
    source: str = Field(
        default="pull",
        max_length=200,
        description="Source of the labels whose row names none.",
        examples=["ledger"],
    )
    utc: bool = Field(default=False, description="Times without a zone are UTC.", examples=[True])

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.url is None) != (self.query is None):
            raise ValueError("url and query go together")
        if self.url is not None and self.path is not None:
            raise ValueError("has both url and path: use one of them")
        if self.url is not None and not self.url.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("url must start with sqlite:/// or postgresql://")
        if self.url is not None and (urlsplit(self.url).password or "password=" in self.url):
            raise ValueError("url must hold no password: use a password file (?passfile=/run/secrets/pgpass)")
        if self.path is not None and not self.path.endswith((".csv", ".jsonl", ".ndjson", ".parquet", ".pq")):
            raise ValueError("path must end in .csv, .jsonl, .ndjson, .parquet or .pq")
        if not self.columns.keys() <= {"id", "label", "observed_at", "weight", "source"}:
            raise ValueError("columns knows id, label, observed_at, weight and source")
        return self


class OutcomeSettings(Table):
    """How predictions are judged when labels come."""

    metric: Literal["accuracy", "precision", "recall", "f1"] = Field(
        default="accuracy",
        description="The quality figure that is watched. All but `accuracy` speak of the positive class, or of a model "
        "with several classes and no positive one of their mean; else a model is judged by its accuracy, and one that "
        "predicts numbers by how often it is about right.",
        examples=["f1"],
    )
    horizon: Duration = Field(
        default=timedelta(days=60),
        json_schema_extra={"default": "60d"},  # Pydantic would write it in ISO form, which the file does not take.
        description="How long after the prediction a label may still come; predictions are kept as long.",
        examples=["60d"],
    )

    assume: AssumeSettings = Field(default_factory=AssumeSettings, description="What silence means.")
    censor_predicted: tuple[str, ...] = Field(
        default=(),
        description="Predicted classes whose action prevents a label, such as blocked payments: their silence means "
        "nothing.",
        examples=[["fraud"]],
    )
    trusted_sources: tuple[str, ...] = Field(
        default=(),
        description="Sources of labels that are never put into quarantine, whatever share of one class they send.",
        examples=[["chargebacks"]],
    )
    pull: PullSettings = Field(default_factory=PullSettings, description="Labels that the hub fetches by itself.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.assume.label and self.assume.after >= self.horizon:
            raise ValueError("assume.after must be shorter than horizon: predictions are not kept longer")
        if self.censor_predicted and not self.assume.label:
            raise ValueError("censor_predicted needs assume.label: without it silence means nothing anyway")
        return self


class LearningSettings(Table):
    """A baseline learned from served traffic, where the model has none."""

    enabled: bool = Field(
        default=True,
        description="Whether one is built and proposed by itself; it counts only once it is approved.",
        examples=[False],
    )
    min_rows: int = Field(
        default=1_000, ge=100, le=50_000, description="Kept rows that it needs at least.", examples=[5_000]
    )
    min_span: Duration = Field(
        default=timedelta(hours=24),
        json_schema_extra={"default": "1d"},
        description="Time between the first and the last of them.",
        examples=["7d"],
    )
    activate_after: Duration | None = Field(
        default=None,
        description="After so much healthy traffic it counts without an approval; the log, an event and the page say "
        "so. Not set: never.",
        examples=["7d"],
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.activate_after is not None and self.activate_after < self.min_span:
            raise ValueError("activate_after must not be shorter than min_span: nothing is learned before")
        return self


class ModelSettings(Table):
    """One monitored model."""

    routes: tuple[Route, ...] = Field(
        default=(),
        description="Requests that are predictions of this model, each a method and a path; `*` stands for any text "
        "within a segment, a last segment `**` for any rest, `{version}` for the version that serves. Empty, for a "
        "model alone: every POST and PUT.",
        examples=[["POST /score"]],
    )
    version: ConstantOrSelector = Field(
        default=None,
        description="Version that is serving, or a selector of it. Not set: the one that the path, the answer or the "
        "request names, else `model_version`.",
        examples=["${IMAGE_TAG}"],
    )
    stable: OptionalText = Field(
        default=None,
        description="The version that all others are compared with. Not set: of those that serve, the one with more "
        "rows in the last days; a version is compared with those that came before it.",
        examples=["v17"],
    )
    shadow: tuple[str, ...] = Field(
        default=(),
        description="Versions whose answers nobody gets: compared with the stable one, and no part of the model's own "
        "figures, alerts and outcomes.",
        examples=[["v19"]],
    )
    id: SelectorText = Field(
        default=None,
        description="Selector of the caller's own id, so that labels can name the prediction by it.",
        examples=["request.transaction_id"],
    )
    features: SelectorText = Field(
        default=None, description="Selector of the features. Not set: the usual shapes.", examples=["request.features"]
    )
    feature_names: tuple[str, ...] = Field(
        default=(),
        description="Names for features that come as bare lists, in their order.",
        examples=[["age", "income"]],
    )
    text: tuple[str, ...] = Field(
        default=(),
        description="Features that are free text: they become figures and a hashed embedding, and go no further. Of a "
        "language model: `input.text`, `output.text`.",
        examples=[["request.note"]],
    )
    segments: tuple[str, ...] = Field(
        default=(),
        description="Columns by whose values traffic is also watched apart, one column at a time; `segment` is what "
        "`annotate` or `prediction.segment` says. `mlmon baseline build` freezes the 20 commonest values of each.",
        examples=[["country", "segment"]],
    )
    embedder: OptionalText = Field(
        default=None,
        description="Texts to vectors: `module:function` of your own, or a sentence-transformers model on this "
        "machine. Not set: a hashing embedding without a model.",
        examples=["mypackage.embedding:embed"],
    )
    decoder: Literal["auto", *DECODER_NAMES] = Field(  # type: ignore[valid-type]
        default="auto",
        description="Protocol of the bodies; `auto` tells it by path, content type and shape.",
        examples=["json"],
    )
    max_rows: int = Field(
        default=DEFAULT_MAX_ROWS,
        gt=0,
        le=MOST_ROWS,
        description="Rows of one request; a request with more is counted, not read.",
        examples=[50_000],
    )
    baseline: OptionalText = Field(
        default=None,
        description="Path of the document that `mlmon baseline build` wrote.",
        examples=["baselines/fraud.json"],
    )
    slow_ms: float | None = Field(
        default=None,
        gt=0,
        description="A prediction at least this slow is kept whatever `keep` says.",
        examples=[250.0],
    )
    keep: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of predictions kept as rows; counts always cover all.",
        examples=[0.1],
    )
    learning: LearningSettings = Field(
        default_factory=LearningSettings, description="How a model without a baseline comes to one."
    )
    prediction: PredictionSettings = Field(default_factory=PredictionSettings, description="How a prediction is read.")
    outcomes: OutcomeSettings = Field(default_factory=OutcomeSettings, description="How predictions are judged.")

    @model_validator(mode="after")
    def _consistent_versions(self) -> Self:
        if self.stable is not None and self.stable in self.shadow:
            raise ValueError("stable must not be among shadow: others are compared with what really serves")
        return self

    @property
    def constant_version(self) -> str | None:
        """The version where it is written out; None where it is a selector or not set."""
        return None if self.version is None or is_selector(self.version) else self.version
