"""What ``mlmon doctor`` looks at: whether everything that the configuration names is there and answers.

Nothing is written. To an endpoint goes one empty export request, with the headers a real one would have.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import httpx

from mlmon_sidecar.capture.compiled import implementation
from mlmon_sidecar.config import Loaded, Settings
from mlmon_sidecar.errors import HubUnavailable, MlmonError
from mlmon_sidecar.export.options import GRPC, ExportOptions, ExportSettings, SignalOptions
from mlmon_sidecar.export.presets import missing_variables
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.hub.socket_path import socket_path_for
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.checkup import problems
from mlmon_sidecar.runtime.wiring import export_options
from mlmon_sidecar.store import is_postgres, open_store, store_path

ANSWER_SECONDS = 5.0
SKEW_SECONDS = 60.0  # beyond it points may be refused as too old, or shown at the wrong time
LEAST_SQLITE = (3, 51, 3)  # earlier ones can corrupt a write-ahead log, see docs/reliability.md


class Verdict(StrEnum):
    OK = "ok"
    NOTE = "note"  # for information, or nothing was asked for
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Found:
    part: str
    verdict: Verdict
    text: str  # one sentence, without credentials
    hint: str = ""


def examine(loaded: Loaded, environ: Mapping[str, str], now: Callable[[], float] = time.time) -> Iterator[Found]:
    """Each finding as soon as it is made. ``now``: Unix seconds."""
    settings = loaded.settings
    yield from _configuration(loaded)
    yield Found("capture", Verdict.OK, f"the tap is {implementation()}")
    yield from _store(settings)
    yield from _hub(settings)
    options = export_options(settings, dict(environ))
    yield from _export(settings, options, environ, now)
    yield from _leaving(settings, options, environ)


def _configuration(loaded: Loaded) -> Iterator[Found]:
    wrong = problems(loaded.settings, loaded.origin)
    for text in (*loaded.warnings, *wrong):
        yield Found("configuration", Verdict.FAIL if text in wrong else Verdict.WARN, text)
    if not wrong:
        models = ", ".join(sorted(loaded.settings.captured()))
        yield Found("configuration", Verdict.OK, f"{loaded.file or 'no file, defaults only'}; models: {models}")
    if not loaded.settings.enabled:
        yield Found("configuration", Verdict.WARN, "the monitor is switched off (enabled = false)")


# ---------------------------------------------------------------- store and hub


def _store(settings: Settings) -> Iterator[Found]:
    version = apsw.sqlite_lib_version()
    old = tuple(map(int, version.split("."))) < LEAST_SQLITE
    least = ".".join(map(str, LEAST_SQLITE))
    hint = f"Install apsw {least} or newer." if old else ""
    yield Found("sqlite", Verdict.FAIL if old else Verdict.OK, f"version {version}", hint)
    if is_postgres(settings.store):
        yield _database(settings.store)
        return
    path = store_path(settings.store).resolve()
    if path.exists():
        yield Found("store", Verdict.OK, f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    else:
        yield Found("store", Verdict.NOTE, f"{path} is not there yet: the first hub makes it")


def _database(url: str) -> Found:
    """Opening it makes the tables where there are none."""
    try:
        store = open_store(url)
    except MlmonError as error:
        return Found("store", Verdict.FAIL, str(error), error.hint)
    try:
        return Found("store", Verdict.OK, f"PostgreSQL, {store.stored_rows():,} predictions")
    finally:
        store.close()


def _hub(settings: Settings) -> Iterator[Found]:
    separate = settings.hub.socket
    path = Path(separate) if separate is not None else socket_path_for(store_path(settings.store))
    client = SocketHubClient(path, timeout_seconds=ANSWER_SECONDS)
    try:
        client.ping()
        yield Found("hub", Verdict.OK, f"answers at {path}")
    except HubUnavailable:
        if separate is None:
            yield Found("hub", Verdict.NOTE, "embedded; no running process is the hub of this store")
        else:
            yield Found("hub", Verdict.FAIL, f"none answers at {path}", "Start mlmon hub with the same configuration.")
    finally:
        client.close()


# ---------------------------------------------------------------- export


def _export(
    settings: Settings, options: ExportOptions, environ: Mapping[str, str], now: Callable[[], float]
) -> Iterator[Found]:
    preset = settings.export.preset
    for name in missing_variables(preset, ExportSettings(endpoint=settings.export.endpoint or ""), environ):
        yield Found("credentials", Verdict.FAIL, f"preset {preset} needs the variable {name}, which is not set")
    if not options.enabled:
        yield Found("export", Verdict.NOTE, "no endpoint is set: nothing is sent by pipelines of our own")
        return
    asked: set[str] = set()
    for signal, target in (("metrics", options.metrics), ("logs", options.logs), ("traces", options.traces)):
        if target is not None and target.target not in asked:
            asked.add(target.target)
            yield from _target(signal, target, now)


def _target(signal: str, target: SignalOptions, now: Callable[[], float]) -> Iterator[Found]:
    names = ", ".join(sorted(target.headers)) or "none"
    yield Found("credentials", Verdict.NOTE, f"{signal}: headers {names}")
    if target.protocol == GRPC:
        yield _connected(signal, target)
        return
    headers = {**target.headers, "content-type": "application/x-protobuf"}
    begun = now()
    try:
        answer = httpx.post(target.endpoint, content=b"", headers=headers, timeout=ANSWER_SECONDS)
    except httpx.HTTPError as error:
        text = f"{signal}: {target.target} does not answer ({type(error).__name__})"
        yield Found("export", Verdict.FAIL, text, "Is the address right, and may this host reach it?")
        return
    yield _answered(signal, target, answer.status_code)
    if (said := answer.headers.get("date")) is not None:
        yield from _skew(said, (begun + now()) / 2)


def _answered(signal: str, target: SignalOptions, status: int) -> Found:
    text = f"{signal}: {target.target} by {target.protocol} answers {status}"
    if status in (401, 403):
        return Found("export", Verdict.FAIL, text, "The credentials are not taken: look at the headers' values.")
    if status in (404, 405):
        return Found("export", Verdict.FAIL, text, "There is no OTLP at this path: the endpoint is the base address.")
    return Found("export", Verdict.OK if status < 400 else Verdict.WARN, text)


def _connected(signal: str, target: SignalOptions) -> Found:
    """gRPC: that somebody listens. Whether credentials are taken shows in mlmon.self.export.failures."""
    parts = urlsplit(target.endpoint if "//" in target.endpoint else f"//{target.endpoint}")
    try:
        socket.create_connection((parts.hostname or "", parts.port or 4317), ANSWER_SECONDS).close()
    except OSError as error:
        text = f"{signal}: {target.target} cannot be reached ({type(error).__name__})"
        return Found("export", Verdict.FAIL, text, "Is the address right, and may this host reach it?")
    return Found("export", Verdict.OK, f"{signal}: {target.target} by grpc takes connections")


def _skew(date: str, here: float) -> Iterator[Found]:
    try:
        there: datetime = parsedate_to_datetime(date)
    except ValueError:  # not a date: nothing can be said
        return
    ahead = here - there.timestamp()
    if abs(ahead) > SKEW_SECONDS:
        text = f"this clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the endpoint's"
        yield Found("clock", Verdict.WARN, text, "Points with wrong times may be refused: synchronise the clock.")
    else:
        yield Found("clock", Verdict.OK, "within a minute of the endpoint's")


# ---------------------------------------------------------------- what leaves the process


def _leaving(settings: Settings, options: ExportOptions, environ: Mapping[str, str]) -> Iterator[Found]:
    """What goes where, as things are configured; nothing else does."""
    sent = []
    if options.metrics is not None:
        sent.append(f"metrics to {options.metrics.target} every {options.interval_seconds:g} s")
    if options.traces is not None:
        sent.append(f"a span of each prediction to {options.traces.target}, where the application traces nothing")
    if options.logs is not None:
        share = f", and {options.prediction_logs:.2%} of the predictions" if options.prediction_logs else ""
        sent.append(f"log records of alerts and schema violations{share} to {options.logs.target}")
        if options.prediction_logs and assembly.captures_content(settings, dict(environ)):
            sent.append("with them prompts and answers, redacted")
    if options.use_host_providers:
        sent.append("the same through OpenTelemetry providers that the application has set up itself")
    if settings.endpoints and (settings.dev or settings.tokens.read or settings.tokens.label):
        pages = "page, status and metrics" if settings.export.scraped else "page and status"
        sent.append(f"{pages} at {settings.endpoints}, to who has the token")
    for text in sent:
        yield Found("leaves", Verdict.NOTE, text)
    if settings.hub.ship == "raw":
        yield Found("leaves", Verdict.NOTE, f"bodies to the hub on this host at {settings.hub.socket}, nowhere else")
