"""Where telemetry goes and how often: what the settings say, overruled by the standard ``OTEL_*`` variables.

Resolved once, from an environment that is passed in. Imports no OpenTelemetry.

``OTEL_EXPORTER_OTLP_TIMEOUT`` is read in seconds, as OpenTelemetry for Python reads it; the intervals and delays
(``OTEL_METRIC_EXPORT_INTERVAL``, ``OTEL_BLRP_*``) are milliseconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from mlmon_sidecar.export.environment import Environment

DEFAULT_INTERVAL_SECONDS = 60.0
DEFAULT_TIMEOUT_SECONDS = 4.0  # below the shutdown deadline, so that one failing export never uses it up
DEFAULT_LOG_DELAY_SECONDS = 1.0
DEFAULT_LOG_QUEUE = 2048  # records
DEFAULT_LOG_BATCH = 512  # records a request
MIN_SCALED_INTERVAL_SECONDS = 1.0  # of machine time, however fast the clock runs

HTTP = "http/protobuf"
GRPC = "grpc"
PROTOCOLS = (HTTP, GRPC)
CUMULATIVE = "cumulative"
DELTA = "delta"
LOW_MEMORY = "lowmemory"
TEMPORALITIES = (CUMULATIVE, DELTA, LOW_MEMORY)
_DEFAULT_BASE = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}
_BUCKETS = 1 << 32  # of crc32


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What a configuration file or keyword arguments may say. Every standard variable that is set wins over it."""

    endpoint: str = ""  # base URL of an OTLP collector; "": none
    protocol: str = HTTP
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # often hold keys
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS  # > 0, in scaled time
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS  # > 0
    temporality: str = CUMULATIVE
    compression: str = "none"
    prediction_logs: float = 0.0  # share of predictions sent as log records, [0, 1]
    spans: bool = False  # of our own, where the application traces nothing
    service_name: str = ""
    service_version: str = ""
    resource: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignalOptions:
    """One signal on its way to one collector."""

    endpoint: str = field(repr=False)  # the full URL as the exporter takes it; may hold credentials
    protocol: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_seconds: float
    compression: str  # "none", "gzip" or "deflate"
    certificate: str | None  # path; None: the system's authorities
    client_certificate: str | None
    client_key: str | None

    @property
    def target(self) -> str:
        """The endpoint as people may see it: without credentials and query."""
        parts = urlsplit(self.endpoint)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Everything the exporter needs to know. ``ExportOptions()`` sends nothing and starts nothing."""

    metrics: SignalOptions | None = None
    logs: SignalOptions | None = None
    traces: SignalOptions | None = None  # spans of our own
    use_host_providers: bool = True  # what the application configured itself is used where it is there
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS  # of machine time
    temporality: str = CUMULATIVE
    prediction_logs: float = 0.0
    resource: Mapping[str, str] = field(default_factory=dict)
    log_delay_seconds: float = DEFAULT_LOG_DELAY_SECONDS
    log_queue: int = DEFAULT_LOG_QUEUE
    log_batch: int = DEFAULT_LOG_BATCH

    @property
    def enabled(self) -> bool:
        """Whether anything would be sent by pipelines of our own."""
        return any(signal is not None for signal in (self.metrics, self.logs, self.traces))

    def keeps_prediction(self, prediction_id: str) -> bool:
        """Whether this prediction is in the sample that is sent as log records. The same id always answers alike."""
        return zlib.crc32(prediction_id.encode("utf-8", "replace")) < self.prediction_logs * _BUCKETS

    @classmethod
    def from_environment(
        cls, settings: ExportSettings, environ: Mapping[str, str], *, clock_scale: float = 1.0
    ) -> ExportOptions:
        """Settings and ``OTEL_*`` variables, resolved. A bad variable is named in a warning and not used.

        Args:
            clock_scale: how fast event time runs, > 0; the interval shrinks with it, to one second at the least.
        """
        env = Environment(environ)
        if env.flag("OTEL_SDK_DISABLED"):
            return cls(use_host_providers=False)
        own = not env.text("OTEL_CONFIG_FILE")  # the file sets everything up: the application's providers, or nothing
        metrics, logs = _signal("METRICS", settings, env), _signal("LOGS", settings, env)
        interval = env.number("OTEL_METRIC_EXPORT_INTERVAL", settings.interval_seconds, divide=1000.0) / clock_scale
        return cls(
            metrics=metrics if own else None,
            logs=logs if own else None,
            traces=_signal("TRACES", settings, env) if own and settings.spans else None,
            interval_seconds=interval if clock_scale == 1.0 else max(interval, MIN_SCALED_INTERVAL_SECONDS),
            temporality=env.choice(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", TEMPORALITIES, settings.temporality
            ),
            prediction_logs=settings.prediction_logs,
            resource=_resource(settings, env),
            log_delay_seconds=env.number("OTEL_BLRP_SCHEDULE_DELAY", DEFAULT_LOG_DELAY_SECONDS, divide=1000.0),
            log_queue=max(1, int(env.number("OTEL_BLRP_MAX_QUEUE_SIZE", DEFAULT_LOG_QUEUE))),
            log_batch=max(1, int(env.number("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", DEFAULT_LOG_BATCH))),
        )


def _signal(signal: str, settings: ExportSettings, env: Environment) -> SignalOptions | None:
    """Options of "METRICS", "LOGS" or "TRACES"; None where nothing asks for an export."""
    exporter = env.exporter(f"OTEL_{signal}_EXPORTER")
    protocol = env.choice(_names(signal, "PROTOCOL"), PROTOCOLS, settings.protocol)
    endpoint = _endpoint(signal, protocol, settings, env)
    if exporter == "none" or not (endpoint or exporter == "otlp"):
        return None
    return SignalOptions(
        endpoint=endpoint or _with_path(_DEFAULT_BASE[protocol], signal, protocol),
        protocol=protocol,
        headers={**_lower(settings.headers), **env.pairs(*_names(signal, "HEADERS"), lower=True)},
        timeout_seconds=env.number(_names(signal, "TIMEOUT"), settings.timeout_seconds),
        compression=env.choice(_names(signal, "COMPRESSION"), ("none", "gzip", "deflate"), settings.compression),
        certificate=env.text(*_names(signal, "CERTIFICATE")) or None,
        client_certificate=env.text(*_names(signal, "CLIENT_CERTIFICATE")) or None,
        client_key=env.text(*_names(signal, "CLIENT_KEY")) or None,
    )


def _names(signal: str, what: str) -> tuple[str, str]:
    """The signal's own variable first, the common one second."""
    return f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}"


def _endpoint(signal: str, protocol: str, settings: ExportSettings, env: Environment) -> str:
    own, common = _names(signal, "ENDPOINT")
    base = env.text(common) or settings.endpoint
    return env.text(own) or (_with_path(base, signal, protocol) if base else "")


def _with_path(base: str, signal: str, protocol: str) -> str:
    return base if protocol == GRPC else f"{base.rstrip('/')}/v1/{signal.lower()}"


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _resource(settings: ExportSettings, env: Environment) -> dict[str, str]:
    said = {"service.name": settings.service_name, "service.version": settings.service_version}
    resource = {**settings.resource, **{key: value for key, value in said.items() if value}}
    resource |= env.pairs("OTEL_RESOURCE_ATTRIBUTES")
    if name := env.text("OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    return resource
