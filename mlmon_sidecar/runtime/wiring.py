"""From settings to the parts that every serving process has, however much it does itself. Loads no numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mlmon_sidecar.capture.selection import DEFAULT_EXCLUDED, SelectionOptions
from mlmon_sidecar.capture.wiring import DEFAULT_HEADERS, CaptureOptions
from mlmon_sidecar.clock import ScaledClock, SystemClock
from mlmon_sidecar.config import ModelSettings, Settings
from mlmon_sidecar.export.options import ExportOptions, ExportSettings
from mlmon_sidecar.export.presets import with_preset
from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.selectors import ALIAS_HEADERS, PROTOCOL_HEADERS, Selector, named_headers

Origin = Callable[[tuple[str, ...]], str]
"""Where the value of a key was set: a file's path, a variable's name, "keyword" or "default"."""

SELECTOR_PREFIXES = ("request.", "request[", "response.", "response[", "header.")


def make_clock(settings: Settings) -> Clock:
    """The machine's clock, or the demonstration's."""
    if settings.clock_scale == 1.0 or settings.clock_anchor is None:
        return SystemClock()
    return ScaledClock(settings.clock_scale, int(settings.clock_anchor * 1e9))


def export_options(settings: Settings, environ: dict[str, str]) -> ExportOptions:
    said = settings.export
    wanted = ExportSettings(
        endpoint=said.endpoint or "",
        protocol=said.protocol,
        interval_seconds=said.interval_seconds,
        prediction_logs=said.prediction_logs,
        spans=said.spans == "own" and settings.hub.ship != "raw",
    )
    wanted = with_preset(said.preset, wanted, environ)
    return ExportOptions.from_environment(wanted, environ, clock_scale=settings.clock_scale)


def capture_options(settings: Settings) -> CaptureOptions:
    header = settings.prediction_id_header
    selectors = (selector for model in settings.captured().values() for selector in model_selectors(model))
    aliases = ALIAS_HEADERS if any(model.id is None for model in settings.captured().values()) else ()
    return CaptureOptions(
        max_body_bytes=settings.body_limit,
        max_stream_bytes=settings.max_stream_bytes,
        prediction_id_header=None if header is None else header.encode("ascii"),
        headers=DEFAULT_HEADERS.union(PROTOCOL_HEADERS, named_headers(selectors), aliases, _trace_headers(settings)),
    )


def _trace_headers(settings: Settings) -> frozenset[bytes]:
    if settings.export.spans != "own":
        return frozenset()
    from mlmon_sidecar.export.own_spans import header_names

    return header_names()


def selection_options(settings: Settings) -> SelectionOptions:
    """Which requests are predictions."""
    routes = {name: model.routes for name, model in settings.captured().items()}
    return SelectionOptions(routes, excluded=(*DEFAULT_EXCLUDED, *settings.exclude))


def model_selectors(model: ModelSettings) -> Iterable[Selector]:
    """Everything that is read out of this model's exchanges by name."""
    said = model.prediction
    version = model.version if is_selector(model.version) else None
    texts = (version, model.id, model.features, said.score, said.predicted, said.confidence, said.segment)
    return [Selector.compile(text) for text in texts if text is not None]


def is_selector(text: str | None) -> bool:
    return text is not None and text.startswith(SELECTOR_PREFIXES)
