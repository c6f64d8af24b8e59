"""The gRPC exporters of OpenTelemetry, watched. Loaded only where gRPC is asked for."""

from __future__ import annotations

from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from mlmon_sidecar.export.witness import Witness

_RETRY_INFO = "google.rpc.retryinfo-bin"


class _WatchedStub:
    """Stands before the stub of one service and sees how each call ends."""

    def __init__(self, stub: Any, witness: Witness) -> None:
        self._stub = stub
        self._witness = witness

    def Export(self, *args: Any, **kwargs: Any) -> Any:
        self._witness.clear()
        try:
            return self._stub.Export(*args, **kwargs)
        except grpc.RpcError as error:
            self._witness.error_type = error.code().name
            self._witness.retry_after_seconds = _retry_after(error)
            raise


class _Watched:
    """Exporters keep their stub in ``_client``, and replace it when they connect anew. Where a release calls it
    otherwise, exports work all the same, and failures have no reason."""

    _witness: Witness

    @property
    def _client(self) -> Any:
        return self.__dict__.get("_stub_watched")

    @_client.setter
    def _client(self, stub: Any) -> None:
        self.__dict__["_stub_watched"] = None if stub is None else _WatchedStub(stub, self._witness)


class GrpcMetricExporter(_Watched, OTLPMetricExporter):
    def __init__(self, witness: Witness, **options: Any) -> None:
        self._witness = witness
        super().__init__(**options)


class GrpcLogExporter(_Watched, OTLPLogExporter):
    def __init__(self, witness: Witness, **options: Any) -> None:
        self._witness = witness
        super().__init__(**options)


class GrpcSpanExporter(_Watched, OTLPSpanExporter):
    def __init__(self, witness: Witness, **options: Any) -> None:
        self._witness = witness
        super().__init__(**options)


def _retry_after(error: Any) -> float:
    """Seconds the collector asks to wait, 0 where it does not: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling"""
    said = dict(error.trailing_metadata() or ()).get(_RETRY_INFO)
    if said is None:
        return 0.0
    delay = RetryInfo.FromString(said).retry_delay
    return max(0.0, float(delay.seconds) + float(delay.nanos) / 1e9)
