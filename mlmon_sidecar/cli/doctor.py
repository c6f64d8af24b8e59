"""``mlmon doctor``: what works and what does not, where the application runs; and what telemetry costs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mlmon_sidecar.cli.console import out

if TYPE_CHECKING:
    from mlmon_sidecar.config import Loaded

COLORS = {"ok": "green", "note": "dim", "warn": "yellow", "fail": "red"}


def doctor(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration file.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Count series, bytes of an export and of the store.")] = False,
) -> None:
    """Look at configuration, store, hub, endpoint, credentials and clock; say what leaves the process."""
    from mlmon_sidecar.config import load

    loaded = load(config)
    if cost:
        _cost(loaded)
    elif not _healthy(loaded):
        raise typer.Exit(1)


def _healthy(loaded: Loaded) -> bool:
    from mlmon_sidecar.runtime.doctor import Verdict, examine

    failed = False
    for found in examine(loaded, os.environ):
        color = COLORS[found.verdict.value]
        out.print(f"[{color}]{found.verdict.value:4}[/]  {found.part:13}  {escape(found.text)}")
        if found.hint:
            out.print(f"{'':21}[dim]{escape(found.hint)}[/]")
        failed |= found.verdict is Verdict.FAIL
    return not failed


def _cost(loaded: Loaded) -> None:
    from mlmon_sidecar.export.budget import MAX_SERIES_MODEL, MAX_SERIES_PROCESS
    from mlmon_sidecar.runtime.assembly import watched_models
    from mlmon_sidecar.runtime.cost import model_cost, process_cost, stored

    watched = watched_models(loaded.settings, loaded.origin)
    table = Table("each export", "series", "at most", "Prometheus series", "bytes", "gzip", box=None)
    rows = [("a serving process", process_cost(loaded.settings, watched), MAX_SERIES_PROCESS)]
    rows += [(f"the hub, {one.name}", model_cost(loaded.settings, one), MAX_SERIES_MODEL) for one in watched]
    for title, found, limit in rows:
        numbers = (found.series, limit, found.prometheus_series, found.bytes, found.gzip_bytes)
        table.add_row(escape(title), *map(str, numbers))
    out.print(table)
    for one in watched:
        kept = stored(one)
        out.print(
            f"store, {escape(one.name)}: {kept.pane_bytes} bytes a minute with traffic; "
            f"at most {kept.most_bytes / 1e6:.0f} MB of counts a version"
        )
    share = loaded.settings.export.prediction_logs
    out.print(f"log records: {share:.2%} of the predictions, and one for each alert's transition")
