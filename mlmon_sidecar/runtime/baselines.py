"""Baselines under a configuration: built as the model serves, and judged by whether it could serve with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlmon_sidecar.baseline.build import build_baseline as build
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.importances import importances_of, read_importances
from mlmon_sidecar.baseline.reading import open_table
from mlmon_sidecar.baseline.survey import Purpose
from mlmon_sidecar.config import ModelSettings, Settings, load
from mlmon_sidecar.decode.embedding import make_embedder
from mlmon_sidecar.errors import BaselineError, ConfigError
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.runtime.assembly import redaction_policy, text_columns


def build_baseline(
    data: object,
    *,
    config: str | Path | None = None,
    model: str = "",
    timestamp: str = "",
    id: str = "",
    prediction: str = "",
    score: str = "",
    label: str = "",
    weight: str = "",
    segment: str = "",
    base_rate: float | None = None,
    importances: object = None,
    progress: Callable[[float], None] = lambda part: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Baseline:
    """Build a baseline from healthy data as ``mlmon baseline build`` does; ``.save(path)`` writes the document.

    Args:
        data: the path of a .csv, .jsonl or .parquet file, which is never held as a whole; or a mapping of columns, a
            list of mappings, a pandas, polars or pyarrow table, or a two-dimensional array.
        config: the configuration that serves; None: the usual places.
        model: the model, where several are configured.
        timestamp, id, prediction, score, label: columns that are no features.
        weight: column of how many rows each row stands for, whole numbers.
        base_rate: the population's share of positives, in (0, 1), where the data's is another.
        importances: name to number, the path of a JSON file that holds it, or a fitted model with
            ``feature_importances_`` and ``feature_names_in_``.
        progress: called with the part done, in [0, 1].
        warn: called with each warning about the configuration.

    Raises:
        ConfigError: for a configuration that cannot be used or names several models.
        BaselineError, DecodeError: for data that makes no baseline; the code and the hint say why.
    """
    settings = _loaded(config, model, warn)
    redactor = Redactor(redaction_policy(settings))
    path = Path(data) if isinstance(data, (str, Path)) else None
    return build(
        data if path is None else open_table(path),
        Roles(timestamp, id, prediction, score, label, weight, segment),
        purpose_of(*_only_model(settings)),
        redact_category=redactor.category,
        policy=redactor.policy.hash,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source="" if path is None else path.name,
        importances=_importances(importances),
        base_rate=base_rate,
        progress=progress,
    )


def problems_of(
    baseline: Baseline, config: str | Path | None, model: str = "", warn: Callable[[str], None] = lambda text: None
) -> list[BaselineError]:
    """Why a model could not serve with a baseline; empty where it could."""
    settings = _loaded(config, model or baseline.layout.model, warn)
    name, served = _only_model(settings)
    problems = []
    if baseline.layout.model != name:
        problems.append(
            BaselineError(
                f"the baseline was built for model {baseline.layout.model!r}, not {name!r}",
                code="baseline_model",
                hint=f"Build it with --model {name}.",
            )
        )
    try:
        baseline.require_policy(redaction_policy(settings).hash)
    except BaselineError as error:
        problems.append(error)
    space, said = baseline.layout.prediction, served.prediction
    if said.kind not in ("auto", space.kind) and space.kind != "none":
        problems.append(_differs("prediction.kind", space.kind, said.kind))
    if said.positive is not None and space.positive not in ("", said.positive):
        problems.append(_differs("prediction.positive", space.positive, said.positive))
    counted = {dimension.name for dimension in baseline.layout.segments.dimensions}
    if not set(served.segments) <= counted:
        problems.append(_differs("segments", sorted(counted), sorted(served.segments)))
    if said.threshold is not None and space.threshold not in (None, said.threshold):
        problems.append(_differs("prediction.threshold", space.threshold, said.threshold))
    return problems


def _differs(setting: str, built: object, served: object) -> BaselineError:
    return BaselineError(
        f"built with {setting} {built!r}, served with {served!r}",
        code="baseline_setting",
        hint="Build it again with the configuration that serves.",
    )


def _loaded(config: str | Path | None, model: str, warn: Callable[[str], None]) -> Settings:
    chosen: dict[str, Any] = {"model": model} if model else {}
    loaded = load(None if config is None else Path(config), **chosen)
    for warning in loaded.warnings:
        warn(warning)
    return loaded.settings


def _only_model(settings: Settings) -> tuple[str, ModelSettings]:
    """The one model in question. Raises ``ConfigError`` where several could be meant."""
    captured = settings.captured()
    if len(captured) > 1:
        names = ", ".join(sorted(captured))
        raise ConfigError(f"several models are configured: {names}", code="model_needed", hint="Name one with --model.")
    ((name, model),) = captured.items()
    return name, model


def purpose_of(name: str, model: ModelSettings) -> Purpose:
    """How a model reads its predictions."""
    given = {"version": model.constant_version, "positive": model.prediction.positive}
    return Purpose(
        model=name,
        kind=model.prediction.kind,
        threshold=model.prediction.threshold,
        text=text_columns(model),
        embedder=make_embedder(model.embedder),
        segments=model.segments,
        **{field: text for field, text in given.items() if text is not None},
    )


def _importances(given: object) -> Any:
    if given is None:
        return None
    return read_importances(Path(given)) if isinstance(given, (str, Path)) else importances_of(given)
