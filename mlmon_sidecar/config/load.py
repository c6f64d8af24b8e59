"""Keyword > environment > file > defaults, all checked at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from mlmon_sidecar.config.layers import Layer, environment_layer, file_layer, keyword_layer
from mlmon_sidecar.config.problems import config_error, known_names, origin_of
from mlmon_sidecar.config.settings import Settings, sources
from mlmon_sidecar.telemetry import logger


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they came from.

    Attributes:
        file: the file that was read, or None.
        layers: strongest first.
        warnings: whole sentences, one for each thing that was ignored.
    """

    settings: Settings
    file: str | None
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...]

    def origin(self, key: tuple[str, ...]) -> str:
        """A variable's name, a file's path, "keyword" or "default"."""
        return origin_of(self.layers, key)


def load(path: str | Path | None = None, *, environ: Mapping[str, str] | None = None, **overrides: Any) -> Loaded:
    """As ``load_settings``, with origins and warnings instead of log lines."""
    environ = os.environ if environ is None else environ
    keywords = keyword_layer(overrides)
    file = file_layer(path, environ)
    named = {"model": environ.get("MLMON_MODEL", "")}
    elsewhere = [keywords, Layer("environment", named, named), *([file] if file else [])]
    environment = environment_layer(Settings, environ, known_names(elsewhere))
    layers = (keywords, environment, *([file] if file else []))
    token = sources.set(tuple(InitSettingsSource(Settings, dict(layer.values)) for layer in layers))
    try:
        settings = Settings()
    except ValidationError as error:
        raise config_error(Settings, layers, error) from None  # The chained error would show values.
    finally:
        sources.reset(token)
    if file and file.problems:
        raise config_error(Settings, layers, None)
    return Loaded(settings, file.origin if file else None, layers, environment.warnings)


def load_settings(path: str | Path | None = None, **overrides: Any) -> Settings:
    """Settings of this process.

    Args:
        path: the file; without it ``MLMON_CONFIG``, else ``./mlmon.toml`` where there is one.
        overrides: top-level keys, tables as mappings: ``load_settings(hub={"url": "embedded"})``.

    Raises:
        ConfigError: naming every problem with its file, key, value and fix.
    """
    loaded = load(path, **overrides)
    for warning in loaded.warnings:
        logger.warning("mlmon: %s", warning)
    return loaded.settings
