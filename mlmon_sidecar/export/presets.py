"""Where telemetry goes for those who only want to name the place. Credentials come from the place's own variables.

Grafana Cloud takes OTLP at its gateway with basic authentication; Datadog takes metrics as differences only
(https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/metrics/); its Agent listens on the host with OTLP ingestion
switched on.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from mlmon_sidecar.export.options import CUMULATIVE, DELTA, ExportSettings

logger = logging.getLogger("mlmon_sidecar")

GRAFANA_CLOUD = "grafana-cloud"
DATADOG = "datadog"
DATADOG_AGENT = "datadog-agent"
DATADOG_SITE = "datadoghq.com"  # where DD_SITE is not set, as Datadog's own programs have it

VARIABLES: Mapping[str, tuple[str, ...]] = {
    GRAFANA_CLOUD: ("GRAFANA_CLOUD_INSTANCE_ID", "GRAFANA_CLOUD_API_KEY", "GRAFANA_CLOUD_ZONE"),
    DATADOG: ("DD_API_KEY",),
}
"""What each preset needs; without all of them it sends nothing. A zone is not needed where an endpoint is set."""


def with_preset(name: str, settings: ExportSettings, environ: Mapping[str, str]) -> ExportSettings:
    """``settings`` completed for the place of that name; what they say themselves stays. Other names change nothing."""
    made = _PRESETS.get(name)
    if made is None:
        return settings
    missing = missing_variables(name, settings, environ)
    if missing:
        logger.warning("mlmon: export.preset = %r needs %s: nothing is sent", name, ", ".join(missing))
        return settings
    return made(settings, environ)


def missing_variables(name: str, settings: ExportSettings, environ: Mapping[str, str]) -> list[str]:
    """Variables the preset needs and does not find."""
    needed = VARIABLES.get(name, ())
    return [key for key in needed if not environ.get(key, "").strip() and not (settings.endpoint and "ZONE" in key)]


def _grafana_cloud(settings: ExportSettings, environ: Mapping[str, str]) -> ExportSettings:
    who, key = (environ[name].strip() for name in VARIABLES[GRAFANA_CLOUD][:2])
    secret = base64.b64encode(f"{who}:{key}".encode()).decode()
    zone = environ.get("GRAFANA_CLOUD_ZONE", "").strip()
    return replace(
        settings,
        endpoint=settings.endpoint or f"https://otlp-gateway-{zone}.grafana.net/otlp",
        headers={"authorization": f"Basic {secret}", **settings.headers},
        temporality=CUMULATIVE,
        compression="gzip",
    )


def _datadog(settings: ExportSettings, environ: Mapping[str, str]) -> ExportSettings:
    site = environ.get("DD_SITE", "").strip() or DATADOG_SITE
    return replace(
        settings,
        endpoint=settings.endpoint or f"https://otlp.{site}",
        headers={"dd-api-key": environ["DD_API_KEY"].strip(), **settings.headers},
        temporality=DELTA,
        compression="gzip",
    )


def _datadog_agent(settings: ExportSettings, environ: Mapping[str, str]) -> ExportSettings:
    host = environ.get("DD_AGENT_HOST", "").strip() or "localhost"
    port = 4317 if settings.protocol == "grpc" else 4318
    return replace(settings, endpoint=settings.endpoint or f"http://{host}:{port}", temporality=DELTA)


_PRESETS: Mapping[str, Callable[[ExportSettings, Mapping[str, str]], ExportSettings]] = {
    GRAFANA_CLOUD: _grafana_cloud,
    DATADOG: _datadog,
    DATADOG_AGENT: _datadog_agent,
}
