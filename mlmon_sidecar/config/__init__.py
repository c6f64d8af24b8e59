"""Settings from ``mlmon.toml``, ``MLMON_*`` and keyword arguments. Loads pydantic: not for import time."""

from mlmon_sidecar.config.durations import format_duration, parse_duration
from mlmon_sidecar.config.load import Loaded, load, load_settings
from mlmon_sidecar.config.models import ModelSettings, OutcomeSettings, PredictionSettings
from mlmon_sidecar.config.settings import (
    AlertSettings,
    CheckSettings,
    ExportSettings,
    HubSettings,
    PrivacySettings,
    Settings,
    TokenSettings,
)

__all__ = [
    "AlertSettings",
    "CheckSettings",
    "ExportSettings",
    "HubSettings",
    "Loaded",
    "ModelSettings",
    "OutcomeSettings",
    "PredictionSettings",
    "PrivacySettings",
    "Settings",
    "TokenSettings",
    "format_duration",
    "load",
    "load_settings",
    "parse_duration",
]
