"""From settings to the parts. The only place where a setting's name meets a stage's option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.config import ModelSettings, Settings
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import BaselineError, MlmonError
from mlmon_sidecar.hub.hub import HubOptions
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.recorder import RecordedModel
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.runtime.wiring import Origin, is_selector
from mlmon_sidecar.selectors import Selector
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.telemetry import logger


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
    """One error for each model that lacks the baseline it was given."""
    for model in watched:
        if model.problem:
            logger.error("mlmon: watching without this baseline: %s", model.problem)


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
    return RedactionPolicy.of(settings.privacy.preset)


def recorded_model(watched: Watched, settings: Settings) -> RecordedModel:
    """The recorder's view of a model. Raises ``ConfigError`` for a selector that does not compile."""
    return RecordedModel(
        decode=decode_options(watched),
        layout=watched.layout,
        redactor=Redactor(redaction_policy(settings)),
        store_features=frozenset(settings.privacy.store_features),
        keep=watched.settings.keep,
    )


def decode_options(watched: Watched) -> DecodeOptions:
    model, said = watched.settings, watched.settings.prediction
    names = model.feature_names or tuple(feature.name for feature in watched.layout.features)
    space = watched.layout.prediction
    kind = said.kind if said.kind != "auto" or space.kind == "none" else space.kind
    positive = said.positive or space.positive or "1"
    return DecodeOptions(
        name=watched.name,
        version=_selector(model.version) if is_selector(model.version) else model.version,
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
        feature_names=names,
        slow_ns=int((model.slow_ms or 0.0) * 1e6),
    )


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
    )


def hub_options(settings: Settings, role: Literal["embedded", "separate"]) -> HubOptions:
    return HubOptions(
        flush_interval_seconds=settings.flush_interval_seconds,
        role=role,
        store_name=settings.store,
        clock_scale=settings.clock_scale,
    )


def _selector(text: str | None) -> Selector | None:
    return None if text is None else Selector.compile(text)
