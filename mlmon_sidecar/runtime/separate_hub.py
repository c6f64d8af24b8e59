"""``mlmon hub``: the hub as a process of its own, reached over a unix socket, with the page on a port if asked."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlmon_sidecar.config import Loaded, Settings
from mlmon_sidecar.errors import ConfigError, MissingExtra, StoreError
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.embedded import HubHost
from mlmon_sidecar.hub.socket_path import socket_path_for
from mlmon_sidecar.resources.process import ProcessSource
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.tokens import page_tokens
from mlmon_sidecar.runtime.worker import UNIX, make_hub
from mlmon_sidecar.store import store_path
from mlmon_sidecar.telemetry import Telemetry, logger
from mlmon_sidecar.web.app import WebOptions, build_web

if TYPE_CHECKING:
    from mlmon_sidecar.hub.hub import Hub

STOP_SECONDS = 5.0


def run_hub(loaded: Loaded, address: tuple[str, int] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. ``address``: host and port for page and feedback; None: the socket alone.

    Raises ``StoreError`` (``hub_running``) where another hub holds the store, ``ConfigError`` (``port_in_use``,
    ``no_token``), ``MissingExtra``.
    """
    settings = loaded.settings
    lock = StoreLock(store_path(settings.store))
    if not lock.try_acquire():
        raise StoreError(
            f"another hub holds {settings.store}",
            code="hub_running",
            hint="Stop it first, or give this one another store.",
        )
    try:
        _run(loaded, address)
    finally:
        lock.release()


def _run(loaded: Loaded, address: tuple[str, int] | None) -> None:
    settings = loaded.settings
    listener = None if address is None else _listener(address)
    page = None if listener is None else _page(settings)
    clock = assembly.make_clock(settings)
    telemetry = Telemetry()
    options = assembly.export_options(settings, dict(os.environ))
    exporter = Exporter(options, [lambda: hub.measurements(), ProcessSource()], telemetry, clock)
    watched = assembly.watched_models(settings, loaded.origin)
    assembly.log_problems(watched)
    redactor = assembly.make_redactor(settings)
    hub = make_hub(settings, watched, clock, telemetry, exporter, options, redactor, role="separate")
    host = HubHost(hub, socket_path(settings))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        exporter.start()
        host.start()
        logger.info("mlmon: hub of %s listens on %s", settings.store, socket_path(settings))
        if listener is not None and page is not None:
            page(hub, listener, stopping)
        stopping.wait()
    finally:
        until = time.monotonic() + STOP_SECONDS
        host.stop(STOP_SECONDS / 2)
        exporter.shutdown(max(STOP_SECONDS / 4, until - time.monotonic()))


def socket_path(settings: Settings) -> Path:
    """Where recorders reach this hub."""
    if settings.hub.url.startswith(UNIX):
        return Path(settings.hub.url.removeprefix(UNIX))
    return socket_path_for(store_path(settings.store))


def _listener(address: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_server(address)
    except OSError as error:
        raise ConfigError(
            f"{address[0]}:{address[1]} cannot be listened on ({error.strerror})",
            code="port_in_use",
            hint="Another program has this port: choose another with --listen.",
        ) from error


def _page(settings: Settings) -> Callable[[Hub, socket.socket, threading.Event], None]:
    """What serves the page until ``stopping``; asked for before anything is open, because it may be impossible."""
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("sidecar", "the hub's page") from None
    tokens = page_tokens(settings)
    if tokens.empty:
        raise ConfigError("the page needs a token", code="no_token", hint="Set [tokens] read and label, or dev = true.")

    class Server(uvicorn.Server):
        """Leaves the signals to us: uvicorn raises them again at its end, and SIGTERM then kills the hub half open."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    def serve(hub: Hub, listener: socket.socket, stopping: threading.Event) -> None:
        web = build_web(hub, WebOptions(tokens=tokens, clock=hub.clock, hosts=settings.hosts))
        config = uvicorn.Config(web, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = Server(config)

        def end() -> None:
            stopping.wait()
            server.should_exit = True

        threading.Thread(target=end, name="mlmon-hub-end", daemon=True).start()
        server.run(sockets=[listener])

    return serve
