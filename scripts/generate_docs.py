"""Reference pages from the code: ``python scripts/generate_docs.py`` writes them, ``--check`` only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined, to_jsonable_python

from mlmon_sidecar.config import Settings, format_duration
from mlmon_sidecar.config.layers import variable_name
from mlmon_sidecar.config.shape import Option, options, table_of
from mlmon_sidecar.export.catalog import CATALOG, EVENTS, Emitter, Kind, Metric

ROOT = Path(__file__).resolve().parent.parent

CONFIGURATION_HEAD = """\
# Configuration

Every setting has a default: without any file one model named `default` is watched on every POST and PUT.

**Where settings come from.** Keyword arguments win over environment variables, these over the file, the file over the
defaults; tables merge key by key. The file is the one named by a keyword (or `--config`), else by `MLMON_CONFIG`, else
`mlmon.toml` in the working directory. Relative paths are relative to the working directory.

**Variables.** A setting's variable is `MLMON_` and its key in capitals, with two underscores between table and key:
`MLMON_HUB__URL`. Lists are separated by commas. A model is named in any case, with `_` for `-` and `.`:
`MLMON_MODELS__CAR_LOAN__VERSION`. Three more variables are no settings: `MLMON_CONFIG`, `MLMON_DEBUG` (the command line
shows tracebacks) and those that begin with `MLMON_TEST_` (this project's own test runs).

**References.** Text in the file may hold `${NAME}`, which must be set, or `${NAME:-default}`. `$${NAME}` is `${NAME}`
itself.

**Durations** are numbers with units: `90s`, `15m`, `12h`, `60d`, `2w`, `1d12h`.

**Selectors** name a place in an exchange: `request.id`, `response.predictions[0]`, `response[*].score`,
`header.x-request-id`.

**Mistakes.** An unknown key or an impossible value is an error that names file, key, value and fix, all at once.
A server starts all the same, unmonitored, and says so; `mlmon config check` exits with 1. An unknown `MLMON_*` variable
is only warned about, and what Kubernetes injects for a Service named `mlmon` is ignored. `mlmon config show` prints
every setting in force with its origin; `mlmon config schema` prints a JSON schema for editors.

This page is generated from the code by `scripts/generate_docs.py`.
"""


def configuration() -> str:
    """docs/configuration.md."""
    sections: dict[tuple[str, ...], list[Option]] = {}
    for option in options(Settings):
        sections.setdefault(option.key[:-1], []).append(option)
    parts = [CONFIGURATION_HEAD]
    for prefix, members in sections.items():
        title = f"`[{'.'.join(prefix)}]`" if prefix else "Top level"
        rows = "".join(_row(option) for option in members)
        parts.append(f"## {title}\n\n{_about(prefix)}| key | type | default | meaning |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def _about(prefix: tuple[str, ...]) -> str:
    from mlmon_sidecar.config.shape import find

    table = table_of(find(Settings, prefix)) if prefix else None
    text = f"{(table.__doc__ or '').strip()}\n\n" if table else ""
    example = variable_name((*prefix, "...")).replace("...", "KEY") if prefix else ""
    return text + (f"Variables: `{example}`.\n\n" if example else "")


def _row(option: Option) -> str:
    field = option.field
    meaning = f"{field.description} For example `{_written(field.examples[0])}`." if field.examples else ""
    cells = (
        f"`{option.key[-1]}`",
        _type(field.annotation),
        _default(field.get_default(call_default_factory=True)),
        meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _default(value: Any) -> str:
    if value is None:
        return "not set"
    if value is PydanticUndefined:
        return "required"
    return f"`{_written(format_duration(value) if hasattr(value, 'total_seconds') else to_jsonable_python(value))}`"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{_written(choice)}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of texts"
    names = {"str": "text", "bool": "boolean", "int": "whole number", "float": "number", "timedelta": "duration"}
    parts = (getattr(part, "__origin__", part) for part in get_args(annotation) or (annotation,))
    members: Iterator[Any] = (part for part in parts if part is not type(None))
    return " or ".join(names.get(getattr(part, "__name__", ""), "text") for part in members)


TELEMETRY_HEAD = """\
# Telemetry

Metrics, span attributes and log records, over OpenTelemetry. Nothing is sent, no thread is started and no socket opened
until an endpoint is set: `[export] endpoint`, `OTEL_EXPORTER_OTLP_ENDPOINT`, or a provider that your application has
set up itself.

## Where it goes

- **Your application's own providers**, where it set them globally during its start-up: the observable instruments
  register there and every point carries `mlmon.recorder`, which tells worker processes apart. Of the histograms
  `mlmon.prediction.duration` alone goes that way. As the monitor ends the provider exports once more. FastAPI from
  0.165 on sets providers up itself where `FASTAPI_OTEL_AUTO_CONFIGURE` is `true` and an OTLP endpoint is given: they
  are used.
- **Private ones** otherwise. Globals are never set. Each process is a `service.instance.id` of its own.
- **To Prometheus when it asks**: `[export] prometheus = true` serves the same figures at `/mlmon/metrics`, to who has
  the token for reading, under the names Prometheus itself makes of OTLP. A scrape reaches one process: with several
  workers behind one port use OTLP.
- A trace is joined: the span of the request gets `mlmon.prediction.id` and `mlmon.model.name` as the
  answer begins, and rows and log records its ids. That is the whole cost on the event loop. It is found wherever the
  application's tracing is mounted, around the monitor or inside it: OpenTelemetry's instrumentation of ASGI and
  FastAPI, FastAPI's own, logfire, ddtrace.
- **Spans of our own** with `[export] spans = "own"`, where the application has set up no tracing: one SERVER span a
  prediction, made after the request in the recorder's thread. It continues the caller's trace and follows its sampling
  (`OTEL_PROPAGATORS`, `OTEL_TRACES_SAMPLER`); rows and log records carry its ids. Attributes: `http.request.method`,
  `http.route` (the model's), `url.path` (redacted), `http.response.status_code`, `error.type`, `mlmon.prediction.id`,
  `mlmon.model.name`.
- A collector that is away, slow or wrong costs its own data only. Exports run in their own threads with a time-out of 4
  seconds; at shutdown all signals share one deadline. Log records wait in a queue of 2,048 records and 8 MiB; failures
  (`mlmon.self.export.failures`) and lost records (`mlmon.self.dropped`) are counted by their reason, which is an HTTP
  or gRPC status or what the connection failed with. A collector that asks for time (`Retry-After`, `RetryInfo`) is left
  alone for as long, five minutes at the most.

**How many series.** At most 250 a process and 1,000 a model, whatever requests hold: no path, header or value of a
request is an attribute. What adds up keeps its sum: a version, then a model, that finds no place of its own is counted
under `_other`, and stays there while the process lives. Of a model with more than 50 features those an alarm has named
have series, then the most important ones; `_other` is the greatest drift among the rest.

`mlmon doctor` says whether the endpoint answers and takes the credentials, how far the clocks are apart, and what
leaves the process; `mlmon doctor --cost` how many series that are and how many bytes. Dashboards and alerts:
[dashboards.md](dashboards.md).

## Standard variables

Each wins over `mlmon.toml`; a value that cannot be used is named in a warning and not used.

| variable | effect |
|---|---|
| `OTEL_SDK_DISABLED` | `true`: nothing is sent, not through your providers either |
| `OTEL_CONFIG_FILE` | set: no pipeline of our own; your providers are used |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the resource |
| `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER`, `OTEL_TRACES_EXPORTER` | `otlp` or `none`; traces: spans of our own |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | collector; `/v1/metrics` and `/v1/logs` are added for http |
| `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` or `grpc` |
| `OTEL_EXPORTER_OTLP_HEADERS` | `key=value,key=value` |
| `OTEL_EXPORTER_OTLP_TIMEOUT` | seconds, as OpenTelemetry for Python reads it |
| `OTEL_EXPORTER_OTLP_COMPRESSION` | `none`, `gzip`, `deflate` |
| `OTEL_EXPORTER_OTLP_CERTIFICATE`, `..._CLIENT_CERTIFICATE`, `..._CLIENT_KEY` | files for TLS |
| `OTEL_EXPORTER_OTLP_METRICS_...`, `..._LOGS_...`, `..._TRACES_...` | one signal; its endpoint is taken as it is |
| `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `cumulative`, `delta`, `lowmemory` |
| `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds |
| `OTEL_BLRP_SCHEDULE_DELAY`, `OTEL_BLRP_MAX_QUEUE_SIZE`, `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE` | log records, own spans |
| `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_PROPAGATORS` | spans of our own |

## Metrics

*process*: every serving process has the figure. *hub*: one process a store has it, so nothing is counted twice. A
figure without a value has no point: never NaN, never a silent zero. Windowed figures cover the 24 hours up to the last
sealed minute.

"""

TELEMETRY_EVENTS = """
## Log records

The name is static, data is in flat attributes, the body is one plain sentence. `mlmon.prediction` and
`mlmon.outcome` are sent only as far as `[export] prediction_logs` goes, of the same predictions; they hold no features,
and both carry the trace of the prediction's request, so that feedback is found from its trace and the other way round.

"""

TELEMETRY_FOOT = """
This page is generated from the code by `scripts/generate_docs.py`.
"""


def telemetry() -> str:
    """docs/telemetry.md."""
    lines = ["| metric | unit | kind | from | meaning | attributes |\n|---|---|---|---|---|---|\n"]
    lines += [_metric(metric) for metric in CATALOG.values()]
    lines += [TELEMETRY_EVENTS, "| event | severity | meaning | attributes |\n|---|---|---|---|\n"]
    lines += [
        f"| `{event.name}` | {', '.join(event.severities)} | {event.description} | {_names(event.attributes)} |\n"
        for event in EVENTS.values()
    ]
    return TELEMETRY_HEAD + "".join(lines) + TELEMETRY_FOOT


def _metric(metric: Metric) -> str:
    kinds = {Kind.UPDOWN: "up-down counter"}
    source = "hub" if metric.source is Emitter.HUB else "process"
    cells = (f"`{metric.name}`", f"`{metric.unit}`", kinds.get(metric.kind, metric.kind), source, metric.description)
    return f"| {' | '.join(cells)} | {_names(metric.attributes)} |\n"


def _names(attributes: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in attributes)


PAGES: Mapping[str, Callable[[], str]] = {"docs/configuration.md": configuration, "docs/telemetry.md": telemetry}


def stale() -> list[str]:
    """Pages whose file is not what the code says."""
    return [name for name, page in PAGES.items() if _read(ROOT / name) != page()]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> int:
    if "--check" in sys.argv[1:]:
        for name in (names := stale()):
            print(f"{name} is out of date: run make docs")
        return 1 if names else 0
    for name, page in PAGES.items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(page(), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
