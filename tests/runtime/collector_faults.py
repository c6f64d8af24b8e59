"""Collectors that are away, slow, silent, overloaded or not what they are taken for, over http/protobuf and gRPC."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc

HTTP, GRPC = "http/protobuf", "grpc"
RETRY_AFTER = 30  # seconds; longer than a test, shorter than a shift


class Place(NamedTuple):
    """Where a collector is, and the log records it got, those it refused included."""

    url: str
    records: list[str]  # bodies


@contextmanager
def refused(protocol: str, folder: Path) -> Iterator[Place]:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    yield Place(f"http://127.0.0.1:{port}", [])


@contextmanager
def black_hole(protocol: str, folder: Path) -> Iterator[Place]:
    """Connections are never made: the queue of those to be accepted is full, and the kernel lets further ones wait."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield Place(f"http://127.0.0.1:{listener.getsockname()[1]}", [])


@contextmanager
def silent(protocol: str, folder: Path) -> Iterator[Place]:
    """Connections are made and nobody ever reads or answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield Place(f"http://127.0.0.1:{listener.getsockname()[1]}", [])


@contextmanager
def slow(protocol: str, folder: Path) -> Iterator[Place]:
    """Everything is read, and the answer does not come before the end."""
    over = threading.Event()
    with _answering(protocol, lambda: over.wait(60) and None) as place:
        try:
            yield place
        finally:
            over.set()


@contextmanager
def too_many(protocol: str, folder: Path) -> Iterator[Place]:
    """429, or RESOURCE_EXHAUSTED: come again later."""
    with _answering(protocol, lambda: (429, grpc.StatusCode.RESOURCE_EXHAUSTED)) as place:
        yield place


@contextmanager
def unavailable(protocol: str, folder: Path) -> Iterator[Place]:
    """503, or UNAVAILABLE: come again later."""
    with _answering(protocol, lambda: (503, grpc.StatusCode.UNAVAILABLE)) as place:
        yield place


@contextmanager
def wrong_certificate(protocol: str, folder: Path) -> Iterator[Place]:
    """TLS by a certificate that nobody here trusts, for another host."""
    with _answering(protocol, lambda: None, tls=_certificate(folder)) as place:
        yield place._replace(url=place.url.replace("http:", "https:"))


@contextmanager
def plain_where_tls_is_meant(protocol: str, folder: Path) -> Iterator[Place]:
    with _answering(protocol, lambda: None) as place:
        yield place._replace(url=place.url.replace("http:", "https:"))


@contextmanager
def tls_where_plain_is_meant(protocol: str, folder: Path) -> Iterator[Place]:
    with _answering(protocol, lambda: None, tls=_certificate(folder)) as place:
        yield place


@contextmanager
def well(protocol: str, folder: Path) -> Iterator[Place]:
    with _answering(protocol, lambda: None) as place:
        yield place


Fault = Callable[[str, Path], contextlib.AbstractContextManager[Place]]
FAULTS: tuple[Fault, ...] = (
    refused, black_hole, silent, slow, too_many, unavailable, wrong_certificate, plain_where_tls_is_meant,
    tls_where_plain_is_meant,
)  # fmt: skip

Verdict = Callable[[], tuple[int, grpc.StatusCode] | None]
"""Called with each request read; None: it is taken."""


def _certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key), made by nobody's authority."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=elsewhere.test"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def _bodies(request: logs.ExportLogsServiceRequest) -> Sequence[str]:
    return [
        record.body.string_value
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@contextmanager
def _answering(protocol: str, verdict: Verdict, tls: tuple[Path, Path] | None = None) -> Iterator[Place]:
    with (_grpc_server if protocol == GRPC else _http_server)(verdict, tls) as place:
        yield place


@contextmanager
def _http_server(verdict: Verdict, tls: tuple[Path, Path] | None) -> Iterator[Place]:
    records: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path.endswith("/logs"):
                records.extend(_bodies(logs.ExportLogsServiceRequest.FromString(body)))
            refusal = verdict()
            with contextlib.suppress(OSError):  # who asked may have gone
                self.send_response(refusal[0] if refusal else 200)
                if refusal:
                    self.send_header("retry-after", str(RETRY_AFTER))
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A handshake that fails is what some of these are for."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Place(f"http://127.0.0.1:{server.server_port}", records)
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()


class _Services(metrics_grpc.MetricsServiceServicer, logs_grpc.LogsServiceServicer):
    """Both services under one ``Export``: they differ only in the types of request and answer."""

    def __init__(self, verdict: Verdict) -> None:
        self.records: list[str] = []
        self._verdict = verdict

    def Export(self, request: Any, context: Any) -> Any:
        if isinstance(request, logs.ExportLogsServiceRequest):
            self.records.extend(_bodies(request))
        refusal = self._verdict()
        if refusal is not None:
            retry = RetryInfo()
            retry.retry_delay.seconds = RETRY_AFTER
            context.set_trailing_metadata([("google.rpc.retryinfo-bin", retry.SerializeToString())])
            context.abort(refusal[1], "later")
        if isinstance(request, logs.ExportLogsServiceRequest):
            return logs.ExportLogsServiceResponse()
        return metrics.ExportMetricsServiceResponse()


@contextmanager
def _grpc_server(verdict: Verdict, tls: tuple[Path, Path] | None) -> Iterator[Place]:
    services = _Services(verdict)
    server = grpc.server(ThreadPoolExecutor(8))
    metrics_grpc.add_MetricsServiceServicer_to_server(services, server)
    logs_grpc.add_LogsServiceServicer_to_server(services, server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        certificate, key = tls
        pair = (key.read_bytes(), certificate.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield Place(f"http://127.0.0.1:{port}", services.records)
    finally:
        server.stop(0).wait()
