"""The real OTLP exporters, built late and watched: why an export failed is known and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from mlmon_sidecar.export.options import GRPC, SignalOptions
from mlmon_sidecar.export.outcome import LOGS, METRICS, TRACES, Outcomes
from mlmon_sidecar.export.quiet import Quiet
from mlmon_sidecar.export.witness import WatchedSession, Witness

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

MAX_REST_SECONDS = 300.0  # a collector that asks for more is asked again all the same
UNKNOWN = "_OTHER"  # the semantic conventions' value where no error type is known


class Attempt(Protocol):
    """One export of a payload; True where the collector took it."""

    def __call__(self, payload: Any, /) -> bool: ...


class Sender:
    """One signal to one collector. The exporter is built at the first send, on the export thread.

    A collector that said when to come again is left alone until then, for ``MAX_REST_SECONDS`` at the most.
    """

    def __init__(
        self,
        signal: str,
        build: Callable[[Witness], tuple[Attempt, Callable[[], None]]],
        outcomes: Outcomes,
        quiet: Quiet,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signal = signal
        self._build = build
        self._outcomes = outcomes
        self._quiet = quiet
        self._monotonic = monotonic
        self._rests_until = monotonic()
        self._witness = Witness()
        self._attempt: Attempt | None = None
        self._close: Callable[[], None] | None = None

    @property
    def resting(self) -> bool:
        """Whether the collector asked to be left alone at present."""
        return self._monotonic() < self._rests_until

    def send(self, payload: Any) -> str:
        """ "" where the collector took it, else the error type. Never raises."""
        self._witness.clear()
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))  # our requests are no spans of the application's
        try:
            if self._attempt is None:
                self._attempt, self._close = self._build(self._witness)
                self._quiet.install()
            error_type = "" if self._attempt(payload) else self._witness.error_type or UNKNOWN
        except Exception as error:
            error_type = type(error).__name__
        finally:
            detach(token)
        if error_type and self._witness.retry_after_seconds:
            self._rests_until = self._monotonic() + min(self._witness.retry_after_seconds, MAX_REST_SECONDS)
        self._outcomes.record(self._signal, error_type)
        return error_type

    def close(self) -> None:
        if self._close is not None:
            self._close()


def metric_sender(options: SignalOptions, outcomes: Outcomes, quiet: Quiet) -> Sender:
    def build(witness: Witness) -> tuple[Attempt, Callable[[], None]]:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        exporter = _metric_exporter(options, witness)

        def attempt(payload: MetricsData) -> bool:
            return exporter.export(payload) is MetricExportResult.SUCCESS

        return attempt, exporter.shutdown

    return Sender(METRICS, build, outcomes, quiet)


def log_sender(options: SignalOptions, outcomes: Outcomes, quiet: Quiet) -> Sender:
    def build(witness: Witness) -> tuple[Attempt, Callable[[], None]]:
        from opentelemetry.sdk._logs.export import LogRecordExportResult

        exporter = _log_exporter(options, witness)

        def attempt(payload: Sequence[ReadableLogRecord]) -> bool:
            return exporter.export(payload) is LogRecordExportResult.SUCCESS

        return attempt, exporter.shutdown

    return Sender(LOGS, build, outcomes, quiet)


def span_sender(options: SignalOptions, outcomes: Outcomes, quiet: Quiet) -> Sender:
    def build(witness: Witness) -> tuple[Attempt, Callable[[], None]]:
        from opentelemetry.sdk.trace.export import SpanExportResult

        exporter = _span_exporter(options, witness)

        def attempt(payload: Sequence[ReadableSpan]) -> bool:
            return exporter.export(payload) is SpanExportResult.SUCCESS

        return attempt, exporter.shutdown

    return Sender(TRACES, build, outcomes, quiet)


def _metric_exporter(options: SignalOptions, witness: Witness) -> MetricExporter:
    if options.protocol == GRPC:
        from mlmon_sidecar.export.otel_grpc import GrpcMetricExporter

        return GrpcMetricExporter(witness, **_grpc(options))
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(**_http(options, witness))


def _log_exporter(options: SignalOptions, witness: Witness) -> LogRecordExporter:
    if options.protocol == GRPC:
        from mlmon_sidecar.export.otel_grpc import GrpcLogExporter

        return GrpcLogExporter(witness, **_grpc(options))
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(**_http(options, witness))


def _span_exporter(options: SignalOptions, witness: Witness) -> SpanExporter:
    if options.protocol == GRPC:
        from mlmon_sidecar.export.otel_grpc import GrpcSpanExporter

        return GrpcSpanExporter(witness, **_grpc(options))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(**_http(options, witness))


def _http(options: SignalOptions, witness: Witness) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http import Compression

    return {
        "endpoint": options.endpoint,
        "headers": dict(options.headers),
        "timeout": options.timeout_seconds,
        "compression": Compression(options.compression),
        "certificate_file": options.certificate,
        "client_certificate_file": options.client_certificate,
        "client_key_file": options.client_key,
        "session": WatchedSession(witness),
    }


def _grpc(options: SignalOptions) -> dict[str, Any]:
    """Certificates are not passed: this exporter reads the same variables itself."""
    import grpc  # type: ignore[import-untyped]  # ships no types; only an enumeration is read

    compressions = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
    return {
        "endpoint": options.endpoint,
        "headers": dict(options.headers),
        "timeout": options.timeout_seconds,
        "compression": compressions.get(options.compression, grpc.Compression.NoCompression),
    }
