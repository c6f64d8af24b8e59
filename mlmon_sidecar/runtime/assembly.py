"""From settings to the parts. The only place where a setting's name meets a stage's option."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from mlmon_sidecar.aggregate.generations import LATEST
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.config import ModelSettings, Settings
from mlmon_sidecar.decode.embedding import make_embedder
from mlmon_sidecar.decode.options import DecodeOptions, version_path
from mlmon_sidecar.errors import BaselineError, MlmonError
from mlmon_sidecar.hub.hub import HubOptions
from mlmon_sidecar.hub.plan import LearningRule, ModelPlan
from mlmon_sidecar.recorder import RecordedModel
from mlmon_sidecar.records import Assumption
from mlmon_sidecar.redact.hash_keys import load_hash_keys
from mlmon_sidecar.redact.ner import presidio_reader
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.prose import Prose
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.runtime.pull_sources import PullOrder
from mlmon_sidecar.runtime.wiring import Origin, is_selector
from mlmon_sidecar.selectors import Selector
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.schema import ExpectedSchema, expected_schema
from mlmon_sidecar.telemetry import logger

SECOND_NS = 1_000_000_000
CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@dataclass(frozen=True, slots=True)
class Watched:
    """One model of the configuration with its baseline, or why it has none."""

    name: str
    settings: ModelSettings
    baseline: Baseline | None
    problem: str = ""  # "" or one sentence; the model is then watched without a baseline

    @property
    def layout(self) -> Layout:
        return self.baseline.layout if self.baseline is not None else Layout.bare(self.name)


def watched_models(settings: Settings, origin: Origin) -> list[Watched]:
    """Baselines are read here. One that cannot be read costs its model the comparison, not the others theirs."""
    return [_watched(name, model, settings, origin) for name, model in settings.captured().items()]


def log_problems(watched: Sequence[Watched]) -> None:
    """One error for each model that lacks the baseline it was given, and a warning for segments it does not know."""
    for model in watched:
        if model.problem:
            logger.error("mlmon: watching without this baseline: %s", model.problem)
        elif model.baseline is not None:
            counted = {dimension.name for dimension in model.layout.segments.dimensions}
            if unknown := sorted(set(model.settings.segments) - counted):
                logger.warning(
                    "mlmon: model %r: its baseline knows no segments by %s; build it again", model.name, unknown
                )


def _watched(name: str, model: ModelSettings, settings: Settings, origin: Origin) -> Watched:
    if model.baseline is None:
        return Watched(name, model, None)
    try:
        baseline = Baseline.load(Path(model.baseline))
        _require_model(baseline, name)
        baseline.require_policy(redaction_policy(settings).hash)
    except MlmonError as error:
        place = origin(("models", name, "baseline"))
        return Watched(name, model, None, f"{place}: models.{name}.baseline = {model.baseline!r}: {error}")
    return Watched(name, model, baseline)


def _require_model(baseline: Baseline, name: str) -> None:
    if baseline.layout.model != name:
        raise BaselineError(
            f"the baseline was built for model {baseline.layout.model!r}",
            code="baseline_model",
            hint=f"Build it with --model {name}.",
        )


def redaction_policy(settings: Settings) -> RedactionPolicy:
    """Raises ``ConfigError`` for an entity, action or key that cannot be used."""
    said = settings.privacy
    return RedactionPolicy.of(
        said.preset,
        said.mask,
        said.allow,
        entities=said.entities,
        actions=said.actions,
        fields=said.fields,
        only=said.only,
        hash_keys=load_hash_keys(said.hash_key_file, said.hash_key_env),
    )


def captures_content(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether prompts and answers go with a language model's log records."""
    return settings.privacy.content or environ.get(CAPTURE_CONTENT, "").strip().lower() == "true"


def latest_gen_ai(environ: Mapping[str, str]) -> bool:
    """Whether the newer names of the ``gen_ai`` conventions are asked for."""
    return LATEST in map(str.strip, environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(","))


def make_redactor(settings: Settings) -> Redactor:
    """One for all models of a process. Raises ``ConfigError``, ``MissingExtra``."""
    policy = redaction_policy(settings)
    if policy.preset == "off":
        logger.warning("mlmon: privacy.preset is off: nothing is redacted, neither in what is kept nor in what leaves")
    said = settings.privacy
    prose = Prose(presidio_reader(said.ner_model), said.ner_share) if said.ner else None
    return Redactor(policy, prose=prose)


def recorded_model(watched: Watched, settings: Settings, redactor: Redactor, *, content: bool = False) -> RecordedModel:
    """The recorder's view of a model. Raises ``ConfigError`` for a selector that does not compile."""
    return RecordedModel(
        decode=replace(decode_options(watched, settings.model_version), content=content),
        layout=watched.layout,
        redactor=redactor,
        store_features=frozenset(settings.privacy.store_features),
        keep=watched.settings.keep,
        shadow=frozenset(watched.settings.shadow),
        schema=model_schema(watched),
    )


def adopted(watched: Watched, document: str, settings: Settings) -> Watched:
    """The model with another baseline, which the hub took in. Raises ``BaselineError``."""
    baseline = Baseline.from_document(json.loads(document))
    _require_model(baseline, watched.name)
    baseline.require_policy(redaction_policy(settings).hash)
    return replace(watched, baseline=baseline, problem="")


def model_schema(watched: Watched) -> ExpectedSchema:
    baseline = watched.baseline
    if baseline is None:
        return ExpectedSchema()
    return expected_schema(baseline.layout, baseline.reference.vector, baseline.roles.named())


def decode_options(watched: Watched, other_version: str | None = None) -> DecodeOptions:
    model, said = watched.settings, watched.settings.prediction
    names = model.feature_names or tuple(feature.name for feature in watched.layout.features)
    space = watched.layout.prediction
    kind = said.kind if said.kind != "auto" or space.kind == "none" else space.kind
    positive = said.positive or space.positive or "1"
    return DecodeOptions(
        name=watched.name,
        version=_selector(model.version) if is_selector(model.version) else model.version,
        version_paths=tuple(filter(None, map(version_path, model.routes))),
        other_version=other_version,
        id=_selector(model.id),
        features=_selector(model.features),
        score=_selector(said.score),
        predicted=_selector(said.predicted),
        confidence=_selector(said.confidence),
        segment=_selector(said.segment),
        kind=kind,
        threshold=said.threshold if said.threshold is not None else space.threshold,
        positive=positive,
        negative=_other_class(positive, space.classes),
        margin=said.certainty == "margin",
        class_names=said.classes,
        feature_names=names,
        decoder=model.decoder,
        max_rows=model.max_rows,
        slow_ns=int((model.slow_ms or 0.0) * 1e6),
        text=text_columns(model),
        embedder=make_embedder(model.embedder),
    )


def text_columns(model: ModelSettings) -> frozenset[str]:
    """Names of the columns that are free text: ``request.note`` is the column ``note``."""
    return frozenset(name.removeprefix("request.") for name in model.text)


def _other_class(positive: str, classes: Sequence[str]) -> str | None:
    """What the baseline calls the class that is not positive: a score alone does not name it."""
    others = [name for name in classes if name != positive]
    return others[0] if len(classes) == 2 and len(others) == 1 else None


def model_plan(watched: Watched, settings: Settings) -> ModelPlan:
    """The hub's view of a model."""
    return ModelPlan(
        name=watched.name,
        layout=watched.layout,
        baseline=watched.baseline,
        problem=watched.problem,
        false_alarm_days=settings.alerts.false_alarm_days,
        metric=watched.settings.outcomes.metric,
        positive=watched.settings.prediction.positive or "",
        kind=watched.settings.prediction.kind,
        horizon_days=max(1, watched.settings.outcomes.horizon.days),
        service=settings.clock_scale == 1,
        textbook=settings.checks.textbook,
        confidence_floor=settings.checks.confidence_floor,
        assumption=_assumption(watched.settings),
        trusted_sources=watched.settings.outcomes.trusted_sources,
        stable=watched.settings.stable or "",
        shadow=watched.settings.shadow,
        learning=_learning(watched.settings),
    )


def _learning(model: ModelSettings) -> LearningRule | None:
    said = model.learning
    if not said.enabled:
        return None
    after = None if said.activate_after is None else _hours(said.activate_after)
    return LearningRule(said.min_rows, _hours(said.min_span), after)


def _hours(span: timedelta) -> int:
    """Whole ones, rounded up."""
    return -int(-span.total_seconds() // 3600)


def pull_orders(settings: Settings) -> list[PullOrder]:
    """Labels that the hub fetches by itself."""
    found = []
    for name, model in settings.captured().items():
        said = model.outcomes.pull
        if said.url is not None or said.path is not None:
            every = int(said.every.total_seconds()) * SECOND_NS
            origin = (said.url or "", said.query or "", said.path or "")
            found.append(PullOrder(name, *origin, every, said.cursor, said.columns, said.source, said.utc))
    return found


def _assumption(model: ModelSettings) -> Assumption | None:
    said = model.outcomes.assume
    if said.label is None:
        return None
    return Assumption(said.label, int(said.after.total_seconds()) * SECOND_NS, model.outcomes.censor_predicted)


def hub_options(settings: Settings, role: Literal["embedded", "separate"]) -> HubOptions:
    return HubOptions(
        flush_interval_seconds=settings.flush_interval_seconds,
        role=role,
        store_name=settings.store,
        clock_scale=settings.clock_scale,
        export_bins=settings.export.bins,
    )


def _selector(text: str | None) -> Selector | None:
    return None if text is None else Selector.compile(text)
