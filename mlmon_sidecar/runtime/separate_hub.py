"""``mlmon hub``: the hub as a process of its own, reached over a unix socket, with the page on a port if asked."""

from __future__ import annotations

import contextlib
import grp
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.config import Loaded, Settings
from mlmon_sidecar.errors import ConfigError, MissingExtra, StoreError
from mlmon_sidecar.export.options import ExportOptions
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.embedded import HubHost
from mlmon_sidecar.hub.raw_intake import RawIntake
from mlmon_sidecar.hub.socket_path import socket_path_for
from mlmon_sidecar.interfaces import HubClient, Source
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.recorder.generations import GenerationBook
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.resources.gpu import GpuSource
from mlmon_sidecar.resources.process import ProcessSource
from mlmon_sidecar.resources.system import SystemMemorySource
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.assembly import Watched
from mlmon_sidecar.runtime.tokens import page_tokens, web_options
from mlmon_sidecar.runtime.wiring import export_options, make_clock
from mlmon_sidecar.runtime.worker import make_hub
from mlmon_sidecar.store import store_path
from mlmon_sidecar.telemetry import SHIPPED_PREFIX, Telemetry, logger
from mlmon_sidecar.web.app import build_web

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
    group = None if settings.hub.group is None else group_id(settings.hub.group)
    clock = make_clock(settings)
    telemetry = Telemetry()
    options = replace(export_options(settings, dict(os.environ)), traces=None)  # requests are served elsewhere
    around: list[Source] = [ProcessSource(), SystemMemorySource(), GpuSource()]
    sources: list[Source] = [lambda: hub.measurements(), lambda: raw.measurements(), *around]
    exporter = Exporter(options, sources, telemetry, clock)
    watched = assembly.watched_models(settings, loaded.origin)
    assembly.log_problems(watched)
    redactor = assembly.make_redactor(settings)
    hub = make_hub(settings, watched, clock, telemetry, exporter, options, redactor, role="separate")
    raw = raw_intake(settings, watched, hub, exporter, options, redactor)
    allowed = frozenset({os.geteuid(), 0, *settings.hub.allow_uids})
    host = HubHost(hub, socket_path(settings), allowed_uids=allowed, group=group, raw=raw)
    stopping = told_to_stop()
    try:
        exporter.start()
        host.start()
        logger.info("mlmon: hub of %s listens on %s", settings.store, socket_path(settings))
        if listener is not None and page is not None:
            page(hub, exporter, listener, stopping)
        stopping.wait()
    finally:
        until = time.monotonic() + STOP_SECONDS
        host.stop(STOP_SECONDS / 2)
        exporter.shutdown(max(STOP_SECONDS / 4, until - time.monotonic()))


def socket_path(settings: Settings) -> Path:
    """Where recorders reach this hub."""
    if settings.hub.socket is not None:
        return Path(settings.hub.socket)
    return socket_path_for(store_path(settings.store))


def raw_intake(
    settings: Settings,
    watched: Sequence[Watched],
    hub: Hub,
    exporter: Exporter | None,
    options: ExportOptions,
    redactor: Redactor,
) -> RawIntake:
    """For processes with ``ship = "raw"``: each gets a recorder here, which does what it would do there."""
    interval = settings.flush_interval_seconds
    environ = dict(os.environ)
    content = assembly.captures_content(settings, environ)
    telling = exporter if options.prediction_logs else None

    def make(handoff: Handoff, ledger: HubClient, telemetry: Telemetry) -> Recorder:
        models = {model.name: assembly.recorded_model(model, settings, redactor, content=content) for model in watched}
        return Recorder(
            models, handoff, ledger, hub.clock, telemetry,
            flush_interval_seconds=interval, telling=telling, warning=exporter,
            generations=GenerationBook(options.keeps_prediction, latest=assembly.latest_gen_ai(environ)), adopt=adopt,
        )  # fmt: skip

    def adopt(name: str, document: str) -> RecordedModel:
        (known,) = (model for model in watched if model.name == name)
        return assembly.recorded_model(assembly.adopted(known, document, settings), settings, redactor, content=content)

    def progress(sender: str) -> int:
        return hub.store.counters().get(SHIPPED_PREFIX + sender, 0)

    return RawIntake(hub, make, hub.clock, progress, flush_interval_seconds=interval)


def group_id(group: str) -> int:
    """Of a group by name or number. Raises ``ConfigError``."""
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"hub.group = {group!r}: this system has no such group",
            code="no_group",
            hint="Name a group of this machine or container, or give its number.",
        ) from None


def told_to_stop() -> threading.Event:
    """Set by SIGTERM or SIGINT. The interpreter runs a handler in the main thread alone, and a signal that the system
    gives to another thread does not wake the main one; what the interpreter writes to a descriptor meanwhile does."""
    stopping = threading.Event()
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        heard.recv(1)
        stopping.set()
        told.detach()  # signals that follow are written there until the process ends

    threading.Thread(target=wait, name="mlmon-hub-signals", daemon=True).start()
    return stopping


def _listener(address: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_server(address)
    except OSError as error:
        raise ConfigError(
            f"{address[0]}:{address[1]} cannot be listened on ({error.strerror})",
            code="port_in_use",
            hint="Another program has this port: choose another with --listen.",
        ) from error


def _page(settings: Settings) -> Callable[[Hub, Exporter, socket.socket, threading.Event], None]:
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

    def serve(hub: Hub, exporter: Exporter, listener: socket.socket, stopping: threading.Event) -> None:
        metrics = exporter.exposition if settings.export.scraped else None
        options = web_options(settings, tokens, hub.clock, metrics)
        web = build_web(hub, options)
        config = uvicorn.Config(web, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = Server(config)

        def end() -> None:
            stopping.wait()
            server.should_exit = True

        threading.Thread(target=end, name="mlmon-hub-end", daemon=True).start()
        server.run(sockets=[listener])

    return serve
