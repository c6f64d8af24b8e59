"""``MonitorMiddleware``: the three lines users write. Light to import; everything heavy loads in ``process.py``."""

from __future__ import annotations

import logging
import os
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.capture.exchange_tap import ExchangeTap, ended, opened
from mlmon_sidecar.capture.lifespan import forward_lifespan
from mlmon_sidecar.capture.wiring import ASGIApp, Receive, Scope, Send
from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.runtime import fork

if TYPE_CHECKING:
    from mlmon_sidecar.runtime.process import MonitoredProcess

logger = logging.getLogger("mlmon_sidecar")

_UNSET: Any = object()


class MonitorMiddleware:
    """Watches the model behind an ASGI application; the application notices nothing.

    ``app.add_middleware(MonitorMiddleware)`` or ``MonitorMiddleware(app)``. Settings come from ``mlmon.toml``,
    ``MLMON_*`` and these keywords, the keywords first.

    Args:
        app: the application.
        model: name of the one model this application serves.
        config: path of the file, instead of ``MLMON_CONFIG`` or ``./mlmon.toml``.
        store: as ``store`` in the file; the embedded hub keeps everything there.
        hub: as ``[hub] url``.
        prediction_id_header: response header with the prediction's id; None: none is added.
        endpoints: where page and feedback are mounted, once a token is configured; None: nowhere.
        strict: raise ``ConfigError`` here for a wrong configuration; where the server runs already
            (``add_middleware`` makes the middleware with the first message), the application's start-up fails with it.
            Otherwise one error is logged, every request passes through, and ``degraded`` says why; where only a
            baseline or the store cannot be used, the rest goes on.
        dev: make a token beside the store, readable by its owner alone, for page and feedback.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        model: str | None = None,
        config: str | os.PathLike[str] | None = None,
        store: str | None = None,
        hub: str | None = None,
        prediction_id_header: str | None = _UNSET,
        endpoints: str | None = _UNSET,
        strict: bool = False,
        dev: bool | None = None,
    ) -> None:
        self.app = app
        self._fault = ""
        self._process: MonitoredProcess | None = None
        hub_table = None if hub is None else {"url": hub}
        keywords = {"model": model, "store": store, "dev": dev, "hub": hub_table}
        given: dict[str, Any] = {key: value for key, value in keywords.items() if value is not None}
        switches = {"prediction_id_header": prediction_id_header, "endpoints": endpoints}
        given |= {key: value for key, value in switches.items() if value is not _UNSET}
        try:
            from mlmon_sidecar.runtime.process import MonitoredProcess

            self._process = MonitoredProcess.from_settings(
                None if config is None else os.fspath(config), given, strict=strict
            )
        except Exception as error:
            if strict and not _inside_an_asgi_call():
                raise
            if strict:  # Raised here, a server that tries the lifespan takes it for one without, and serves errors.
                self.app = _Refusal(error)
            self._fault = str(error) if isinstance(error, MlmonError) else type(error).__name__
            outcome = "refusing to start" if strict else "not monitoring, every request passes through"
            logger.error("mlmon: %s: %s", outcome, self._fault)
            logger.debug("mlmon: not monitoring", exc_info=error)

    @property
    def degraded(self) -> str:
        """Why less is monitored than was asked for, a line a reason; "" when all is well."""
        return self._fault or (self._process.degraded if self._process is not None else "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        process = self._process
        if process is None:
            await self.app(scope, receive, send)
            return
        usual = None
        try:
            if opened is not None:  # the tap is compiled
                usual = opened(process, scope, receive, send)
        except Exception as error:  # Ours to count, never the host's to see.
            process.faults.count("middleware", error)
        if usual is not None:
            app = self.app  # called by way of a local: faster than as an attribute
            tap, receive, send = usual
            try:
                await app(scope, receive, send)
            except BaseException as error:
                ended(tap, error)
                raise
            else:
                ended(tap, None)
            return
        other, serve = self._chosen(process, scope)
        if other is None:
            await serve(scope, receive, send)
            return
        try:
            await other.run(serve, receive, send)
        finally:
            try:
                process.active.discard(other)
            except Exception as error:  # Ours to count, never the host's to see.
                process.faults.count("active", error)

    def _chosen(self, process: MonitoredProcess, scope: Scope) -> tuple[ExchangeTap | None, ASGIApp]:
        """What serves a call of any kind, and the tap that watches it, if any."""
        tap = None
        serve = self.app
        try:
            kind = scope["type"]
            if kind == "http":
                if process.pid != fork.pid:  # a server without lifespan, or a fork after the start-up
                    process.start()
                if process.web is not None and process.endpoints in scope["path"] and process.is_web(scope):
                    serve = process.serve_web
                else:
                    model = process.capture.model_for(scope)
                    if model is not None:
                        tap = ExchangeTap(process.capture, model, scope)
                        process.active.add(tap)
            elif kind == "lifespan":
                serve = self._lifespan
                process.starting_up()
        except Exception as error:  # Ours to count, never the host's to see.
            process.faults.count("middleware", error)
        return tap, serve

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        process = self._process
        assert process is not None, "asked for only where it monitors"
        await forward_lifespan(
            self.app,
            scope,
            receive,
            send,
            on_started=process.started_up,
            on_stopping=process.stop,
            faults=process.faults,
            stop_seconds=process.stop_seconds,
        )


class _Refusal:
    """Stands in for the application where the configuration may not be wrong: the start-up fails, and so do requests.

    ``lifespan.startup.failed`` stops a server in whatever mode it tries the lifespan; an exception alone does not.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(self._error)})
        raise self._error.with_traceback(None)


def _inside_an_asgi_call() -> bool:
    """Whether a server has called the application already. A running loop says nothing: some servers import in one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if {"scope", "receive", "send"}.issubset(code.co_varnames[: code.co_argcount]):
            return True
        frame = frame.f_back
    return False
