"""The parts of one serving process, and their life: made when the server's start-up is complete, drained at its end."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.capture import compiled
from mlmon_sidecar.capture.exchange_tap import CURRENT, Active
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.selection import Selection, app_path
from mlmon_sidecar.capture.wiring import ASGIApp, Capture, Receive, Scope, Send
from mlmon_sidecar.config import Settings, load
from mlmon_sidecar.errors import ConfigError, HubUnavailable, MlmonError
from mlmon_sidecar.export.otel_spans import HostSpanHook, watch_spans
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.records import BaselineOrder, Erased, Flush, FlushReceipt, HeldBaseline, Label, LabelReceipt
from mlmon_sidecar.runtime.tokens import ignore_token, page_tokens, web_options
from mlmon_sidecar.runtime.wiring import Origin, capture_options, make_clock, selection_options
from mlmon_sidecar.shipper import window_of
from mlmon_sidecar.telemetry import Telemetry, logger
from mlmon_sidecar.web.app import build_web

if TYPE_CHECKING:
    from mlmon_sidecar.runtime.assembly import Watched
    from mlmon_sidecar.runtime.raw_worker import RawWorker
    from mlmon_sidecar.runtime.worker import Worker

STOP_SECONDS = 5.0
HUB_SECONDS = 5.0  # the first question after a start waits so long for the hub; the libraries take one or two
LAST_SECONDS = 1.0  # of them, for the last flush and export of a process that was stopped while it started
SAYING_SECONDS = 0.3  # of them, to count and say what is lost: the server goes on when they are up


def starting() -> HubUnavailable:
    return HubUnavailable("the monitor is starting", code="hub_starting", hint="Try again in a second.")


class HubSlot:
    """Implements ``interfaces.HubClient`` and waits, off the event loop, while the real one is being made."""

    def __init__(self) -> None:
        self._client: HubClient | None = None
        self._there = threading.Event()

    def fill(self, client: HubClient) -> None:
        self._client = client
        self._there.set()

    def renew(self) -> None:
        """In a forked child: empty, whoever was about to fill it."""
        self._client, self._there = None, threading.Event()

    def empty(self) -> None:
        self._there.clear()
        self._client = None

    def _ready(self) -> HubClient:
        self._there.wait(HUB_SECONDS)
        if self._client is None:
            raise starting()
        return self._client

    def flush(self, flush: Flush) -> FlushReceipt:
        return self._ready().flush(flush)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._ready().labels(labels, key)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self._ready().erase(ids, aliases)

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        return self._ready().baseline(order)

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return self._ready().query(path, params)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


class _PureGate:
    active: Active
    capture: Capture
    endpoints: str
    pid: int
    web: ASGIApp | None


if TYPE_CHECKING or compiled.tap is None:
    _Gate = _PureGate
else:
    _Gate = compiled.tap.Gate  # these members, for the compiled tap to read


class MonitoredProcess(_Gate):
    """What the middleware holds. What capturing needs is made at once, so that the first request is captured; recorder,
    hub and exporter are made in a thread after the start-up: no request waits for a file, a socket or their libraries.
    A process that ships raw has no recorder and reads no baseline: numpy and the stages are never loaded in it.
    """

    stop_seconds = STOP_SECONDS

    def __init__(self, settings: Settings, origin: Origin, *, raw: bool = False) -> None:
        self.settings = settings
        self.pid = -1
        self._raw = raw
        self.watched = [] if raw else _watched(settings, origin)
        self._selection = Selection(selection_options(settings))
        self._may_ignore = ignore_token(settings)
        self._capture_options = capture_options(settings)
        self._starting = threading.Lock()
        self._worker: Worker | RawWorker | None = None
        # A parent's, never freed here: its connections are not ours to close.
        self._inherited: list[Worker | RawWorker | None] = []
        self._start_problem = ""
        self._registered = False
        self.loop: asyncio.AbstractEventLoop | None = None  # the server's, where it is asyncio's
        self._start_up_begun = 0.0
        self.start_up_seconds: float | None = None  # of the application; None: it has no lifespan
        self.slot = HubSlot()
        self.endpoints = settings.endpoints or ""
        self.web = self._build_web()
        self._fresh()
        abandon_in_children(self)

    @classmethod
    def from_settings(
        cls, path: str | None, overrides: Mapping[str, Any], *, strict: bool = False, requests: bool = True
    ) -> MonitoredProcess | None:
        """None: the monitor is switched off. Raises ``ConfigError``; ``strict``: also for files that cannot be used.
        ``requests``: False where rows are observed instead, which are counted here however requests are shipped."""
        loaded = load(path, **overrides)
        for warning in loaded.warnings:
            logger.warning("mlmon: %s", warning)
        if not loaded.settings.enabled:
            return None
        if strict:
            _check(loaded.settings, loaded.origin)
        return cls(loaded.settings, loaded.origin, raw=requests and loaded.settings.hub.ship == "raw")

    @property
    def degraded(self) -> str:
        """Why less is done than was asked for; "" when all is well."""
        store = self._worker.problem if self._worker is not None else ""
        paused = "capture is off for a while after too many internal faults" if self.faults.tripped else ""
        found = [*(watched.problem for watched in self.watched), self._start_problem, store, paused]
        return "\n".join(problem for problem in found if problem)

    def abandon(self) -> None:
        """In a forked child: as if nothing had been started. Any lock may have been held when it was forked."""
        self._starting = threading.Lock()
        self.slot.renew()
        self._let_go()

    def _let_go(self) -> None:
        if self.pid not in (-1, os.getpid()):
            self._inherited.append(self._worker)
            self._worker = None
            self._start_problem = ""
            self._fresh()
            self.pid = -1

    def _fresh(self) -> None:
        """New queue and counters: a fork must not hand over what its parent will hand over too."""
        self.telemetry = Telemetry()
        self.faults = Faults()
        allowed = self.settings.queue_max_bytes
        self.active = Active()  # written by event loops, one operation at a time
        self.handoff = Handoff(max_bytes=allowed - window_of(allowed) if self._raw else allowed)
        self.capture = Capture(
            handoff=self.handoff,
            selection=self._selection,
            options=self._capture_options,
            span_hook=HostSpanHook(),
            faults=self.faults,
            may_ignore=self._may_ignore,
        )

    # ------------------------------------------------------------ life

    def starting_up(self) -> None:
        """The application's start-up begins, which loads its models as a rule."""
        self._start_up_begun = time.perf_counter()

    def started_up(self) -> None:
        self.start_up_seconds = time.perf_counter() - self._start_up_begun
        self.start()

    def start(self) -> None:
        """After the server's start-up, or with the first request. Returns at once."""
        with self._starting:
            if self.pid == os.getpid():
                return
            if self.pid != -1:  # a fork that the interpreter was not told of
                self.slot.empty()
                self._let_go()
            if not self._registered:
                self._registered = True
                atexit.register(self.stop)  # servers without lifespan; after an orderly stop it does nothing
            self.pid = os.getpid()
            self.loop = _running_loop()
            self._watch_spans()
            self._ready, self._stopped = threading.Event(), threading.Event()
            worker = threading.Thread(
                target=self._start_worker, args=(self._ready, self._stopped), name="mlmon-start", daemon=True
            )
            try:
                worker.start()
            except RuntimeError as error:  # No thread to be had: the request that asked is served all the same.
                self.faults.count("start", error)
                self._ready.set()

    def _watch_spans(self) -> None:
        """The application's tracing is set up by now, as a rule in its start-up."""
        try:
            watch_spans(CURRENT.get)
        except Exception as error:  # A tracing fault costs the trace, not the recording.
            self.faults.count("span", error)

    def _start_worker(self, ready: threading.Event, stopped: threading.Event) -> None:
        try:
            worker = self._new_worker()
            with self._starting:
                if stopped.is_set():  # the server ended while the libraries loaded: nobody would stop what starts now
                    self.slot.empty()
                    worker.hub.close()
                    return
                self._worker = worker
            worker.start()
            gc.collect()  # what was loaded is looked at once now, and not for a tenth of a second while requests wait
        except Exception as error:  # The host serves on; what is captured meanwhile is bounded and counted.
            self._start_problem = str(error) if isinstance(error, MlmonError) else type(error).__name__
            logger.error("mlmon: not recording: %s", self._start_problem)
            logger.debug("mlmon: not recording", exc_info=error)
        finally:
            ready.set()

    def _new_worker(self) -> Worker | RawWorker:
        if self._raw:
            from mlmon_sidecar.runtime.raw_worker import RawWorker

            return RawWorker(self)
        from mlmon_sidecar.runtime.worker import Worker

        return Worker(self)

    def stop(self) -> None:
        """Drain, flush, seal what is complete, export once more: all within one deadline."""
        if self.pid != os.getpid():
            return
        seconds = self.stop_seconds - SAYING_SECONDS
        deadline = time.monotonic() + seconds
        self._ready.wait(seconds - LAST_SECONDS)
        with self._starting:
            self._stopped.set()
        if self._worker is not None:
            self._worker.stop(max(LAST_SECONDS, deadline - time.monotonic()))
        elif waiting := self.handoff.stats().items_in_queue:
            logger.warning("mlmon: stopped before recording began; %d exchanges are lost", waiting)
        self._worker = None
        self.slot.empty()
        self._fresh()  # a server may start again in this process, and then counts from nothing
        self.pid = -1

    # ------------------------------------------------------------ page and feedback

    def _build_web(self) -> ASGIApp | None:
        tokens = page_tokens(self.settings)
        if self.settings.endpoints is None or tokens.empty:
            return None
        metrics = self._scrape if self.settings.export.scraped else None
        options = web_options(self.settings, tokens, make_clock(self.settings), metrics)
        return build_web(self.slot, options)

    def _scrape(self) -> bytes:
        worker = self._worker
        if worker is None:
            raise starting()
        return worker.exporter.exposition()

    def is_web(self, scope: Scope) -> bool:
        prefix = self.endpoints
        path = app_path(scope)
        return path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/")

    async def serve_web(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Below the prefix: the web application sees the prefix as its root path."""
        assert self.web is not None, "asked for only where it is mounted"
        root = scope.get("root_path") or ""
        path = scope["path"]
        inner = {**scope, "root_path": root + self.endpoints}
        if root and not path.startswith(root):
            inner["path"] = root + path
        await self.web(inner, receive, send)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a batch job, or a server on another library's loop
        return None


def _watched(settings: Settings, origin: Origin) -> Sequence[Watched]:
    from mlmon_sidecar.runtime.assembly import log_problems, watched_models

    watched = watched_models(settings, origin)
    log_problems(watched)
    return watched


def _check(settings: Settings, origin: Origin) -> None:
    from mlmon_sidecar.runtime.checkup import problems

    if found := problems(settings, origin):
        raise ConfigError("\n".join(found), code="config_unusable")
