"""One exchange, read as the configuration has it read, as one JSON object. Nothing in it is unredacted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlmon_sidecar.aggregate.schema import SchemaWatch, Violation, Wrong
from mlmon_sidecar.capture.body_tap import TAIL_BYTES
from mlmon_sidecar.capture.selection import Selection
from mlmon_sidecar.config import Settings
from mlmon_sidecar.decode.explain import Explained, Found, column_kinds, explain
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.records import End, Exchange, Generation, PredictionBatch
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.runtime.assembly import Watched, decode_options, make_redactor, model_schema, watched_models
from mlmon_sidecar.runtime.wiring import Origin, selection_options

FORMAT = 1
SHOWN_ROWS = 10  # predictions
SHOWN_VALUES = 3  # of a column
MAX_NAME = 128  # characters of a column's name
MAX_VALUE = 64  # characters of a text that is shown
EVENT_STREAM = b"text/event-stream"
CONTENT_NAMES = frozenset(
    {"messages", "message", "prompt", "prompts", "content", "instructions", "input", "inputs", "text", "query"}
)
"""Parts of columns' names under which prompts come: their texts are told by length alone."""

Headers = tuple[tuple[bytes, bytes], ...]


class Given(NamedTuple):
    """What is to be explained. ``response`` is None where there is none. Header names are in lower case."""

    request: bytes
    response: bytes | None
    method: str
    path: str
    request_headers: Headers
    response_headers: Headers
    status: int = 200


def explained(
    settings: Settings, origin: Origin, given: Given, *, model: str = "", values: bool = False
) -> dict[str, Any]:
    """What becomes of one exchange; its keys are in docs/payloads.md.

    Args:
        settings: the configuration that serves.
        origin: where its values are from, for messages.
        given: the bodies, and how they came.
        model: a configured model; "": the one whose route it is.
        values: whether the first values of each column are shown, redacted.

    Raises:
        ConfigError: no such model, or several and none of their routes matches.
    """
    watched, notes = _chosen(watched_models(settings, origin), settings, given, model)
    options = decode_options(watched, settings.model_version)
    found = explain(_exchange(given, settings, options), options, answered=given.response is not None)
    redactor = Redactor(RedactionPolicy()) if settings.privacy.preset == "off" else make_redactor(settings)
    if watched.problem:
        notes.append(watched.problem)
    if found.generation is not None:
        notes.append("times are those of chunks, which a file does not tell")
    return {
        "format": FORMAT,
        "ok": found.fault is None,
        "model": watched.name,
        "version": redactor.redact_text(found.version),
        "request": _side(found.request),
        "response": None if found.response is None else _side(found.response),
        "rows": sum(batch.rows for batch in found.batches),
        "columns": _columns(found.batches, redactor, values),
        "predictions": _predictions(found.batches, redactor) if given.response is not None else [],
        "aliases": _aliases(found.batches, redactor),
        "generation": None if found.generation is None else _generation(found.generation, redactor),
        "left_out": _left_out(found),
        "schema": {
            "baseline": watched.baseline is not None,
            "violations": [
                {
                    "kind": one.kind.value,
                    "column": redactor.redact_text(one.feature)[:MAX_NAME],
                    "rows": one.rows,
                    "detail": one.detail,
                }
                for one in _violations(watched, found)
            ],
        },
        "error": _error(found),
        "notes": notes,
    }


def _chosen(watched: Sequence[Watched], settings: Settings, given: Given, name: str) -> tuple[Watched, list[str]]:
    by_name = {model.name: model for model in watched}
    if name and name not in by_name:
        raise ConfigError(
            f"no model is called {name!r}", code="unknown_model", hint=f"Known are: {', '.join(by_name)}."
        )
    matched = Selection(selection_options(settings)).match(given.method, given.path)
    chosen = name or matched or (next(iter(by_name)) if len(by_name) == 1 else "")
    if not chosen:
        raise ConfigError(
            f"no route of a model is {given.method} {given.path}", code="no_model", hint="Name one with --model."
        )
    if matched == chosen:
        return by_name[chosen], []
    return by_name[chosen], [f"{given.method} {given.path} is no route of {chosen}: such a request is not captured"]


def _exchange(given: Given, settings: Settings, options: DecodeOptions) -> Exchange:
    """As capture would hand it over: within the caps, with no other headers than those asked for."""
    request, response = given.request, given.response or b""
    tail: tuple[bytes, ...] = ()
    answer = _within(response, settings.body_limit)
    if any(name == b"content-type" and value.startswith(EVENT_STREAM) for name, value in given.response_headers):
        answer, tail = _stream(response, settings.max_stream_bytes)
    wanted = options.headers
    return Exchange(
        prediction_id="prediction", model=options.name, method=given.method, path=given.path,
        started_ns=1, first_byte_ns=1, ended_ns=1, status=given.status, end=End.COMPLETE, error_type="",
        request_headers=tuple(pair for pair in given.request_headers if pair[0] in wanted),
        request_body=_within(request, settings.body_limit), request_bytes=len(request),
        response_headers=tuple(pair for pair in given.response_headers if pair[0] in wanted),
        response_body=answer, response_bytes=len(response),
        trace_id=0, span_id=0, trace_sampled=False, annotations=(), response_chunks=1, response_tail=tail,
    )  # fmt: skip


def _within(body: bytes, cap: int) -> tuple[bytes, ...]:
    return (body,) if len(body) <= cap else ()


def _stream(body: bytes, cap: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The beginning, and the end of one that is longer."""
    return (body[:cap],), (body[max(cap, len(body) - TAIL_BYTES) :],) if len(body) > cap else ()


def _side(found: Found) -> dict[str, Any]:
    return {
        "protocol": found.protocol or None,
        "reason": found.reason,
        "media_type": found.media_type,
        "bytes": found.size,
    }


def _columns(batches: Sequence[PredictionBatch], redactor: Redactor, values: bool) -> list[dict[str, Any]]:
    shown = []
    for kind in column_kinds(batches):
        one: dict[str, Any] = {
            "name": redactor.redact_text(kind.name)[:MAX_NAME],
            "type": kind.type,
            "missing": kind.missing,
        }
        if values:
            first = next(batch.features[kind.name] for batch in batches if kind.name in batch.features)
            one["values"] = [_value(kind.name, value, redactor) for value in list(first[:SHOWN_VALUES])]
        shown.append(one)
    return shown


def _value(name: str, value: object, redactor: Redactor) -> object:
    """A value as it may be shown: redacted by its column's name and its own form; long texts and prompts never."""
    if isinstance(value, str):
        if len(value) > MAX_VALUE or not CONTENT_NAMES.isdisjoint(name.lower().split(".")):
            return f"<text of {len(value)} characters>"
    elif value is not None:
        value = value.item() if hasattr(value, "item") else value
        if isinstance(value, float) and not math.isfinite(value):
            return None  # JSON has no such numbers
    document = redactor.redact({name: value})
    return next(iter(document.values()), None) if isinstance(document, Mapping) else None


def _predictions(batches: Sequence[PredictionBatch], redactor: Redactor) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for batch in batches:
        for at in range(min(batch.rows, SHOWN_ROWS - len(shown))):
            predicted, segment = batch.predicted[at], batch.segments[at]
            shown.append(
                {
                    "row": len(shown),
                    "class": None if predicted is None else redactor.redact_text(predicted),
                    "score": _number(float(batch.score[at])),
                    "confidence": _number(float(batch.confidence[at])),
                    "segment": None if segment is None else redactor.redact_text(segment),
                }
            )
    return shown


def _aliases(batches: Sequence[PredictionBatch], redactor: Redactor) -> list[str | None]:
    found = [alias for batch in batches for alias in batch.aliases][:SHOWN_ROWS]
    return [None if alias is None else redactor.redact_text(alias) for alias in found]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _generation(generation: Generation, redactor: Redactor) -> dict[str, Any]:
    return {
        "operation": generation.operation,
        "system": generation.system,
        "request_model": redactor.redact_text(generation.request_model),
        "response_model": redactor.redact_text(generation.response_model),
        "end": generation.end.value,
        "error": generation.error_type,
        "streamed": generation.streamed,
        "choices": generation.choices,
        "finish_reasons": list(generation.finish_reasons),
        "input_tokens": generation.input_tokens,
        "output_tokens": generation.output_tokens,
        "tokens_estimated": generation.tokens_estimated,
        "output_chars": generation.output_chars,
        "tool_calls": generation.tool_calls,
        "refusal": generation.refusal,
        "empty": generation.empty,
        "truncated": generation.truncated,
    }


def _left_out(found: Explained) -> dict[str, int]:
    return {**found.skipped, **({"repeated_name": found.repeated} if found.repeated else {})}


def _violations(watched: Watched, found: Explained) -> list[Violation]:
    """Against the baseline, and what was seen while names were given; windows of values need more rows than one has."""
    violations = []
    if found.wrong_width:
        violations.append(Violation(Wrong.WIDTH, "", found.wrong_width, "more or fewer values than names"))
    if watched.baseline is not None:
        watch = SchemaWatch(model_schema(watched))
        violations += [one for batch in found.batches for one in watch.look(batch)]
    return violations


def _error(found: Explained) -> dict[str, Any] | None:
    fault = found.fault
    if fault is None:
        return None
    return {
        "side": fault.side,
        "code": fault.code,
        "message": fault.message,
        "hint": fault.hint,
        "byte": None if fault.at_byte < 0 else fault.at_byte,
    }
