"""``mlmon backtest``: what the monitor would have said about history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mlmon_sidecar.cli.console import err, out, show_warning
from mlmon_sidecar.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmon_sidecar.backtest.report import AlertView, Report
    from mlmon_sidecar.backtest.source import Source
    from mlmon_sidecar.baseline.document import Baseline, Roles
    from mlmon_sidecar.config import Settings
    from mlmon_sidecar.runtime.assembly import Watched

SWEPT_DAYS = (7.0, 30.0, 90.0, 365.0)
TIER_COLOURS = {"P1": "bold red", "P2": "yellow", "P3": "cyan"}


def backtest(
    baseline: Annotated[Path, typer.Option(metavar="B", help="What history is compared with.")],
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="Predictions with their times: .csv, .jsonl or .parquet.")
    ] = None,
    store: Annotated[str, typer.Option(metavar="URL", help="A hub's store instead of DATA; hour by hour.")] = "",
    labels: Annotated[
        Path | None, typer.Option(metavar="L", help="Labels by id with the time each was observed.")
    ] = None,
    timestamp: Annotated[str, typer.Option(metavar="COL", help="Time of the prediction.")] = "",
    id_column: Annotated[str, typer.Option("--id", metavar="COL", help="Id, by which labels come.")] = "",
    prediction: Annotated[str, typer.Option(metavar="COL", help="Predicted class or number.")] = "",
    score: Annotated[str, typer.Option(metavar="COL", help="Score of the prediction.")] = "",
    label: Annotated[str, typer.Option(metavar="COL", help="What turned out to be true.")] = "",
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration that serves.")] = None,
    hourly: Annotated[bool, typer.Option("--hourly", help="Look once an hour: for long histories.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also try other false-alarm budgets.")] = False,
    incidents: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Known incidents with their onsets: how soon each was told.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run history through the engine that serves, and show which alerts it would have raised.

    Columns are called as in the baseline's data where nothing else is said.
    """
    from mlmon_sidecar.backtest.known import read_known
    from mlmon_sidecar.backtest.replay import replay, with_budget
    from mlmon_sidecar.backtest.report import Said, report
    from mlmon_sidecar.baseline.document import Baseline, Roles
    from mlmon_sidecar.runtime.assembly import model_plan

    _check_sources(data, store, labels)
    known = read_known(incidents) if incidents else []
    document = Baseline.load(baseline)
    settings, watched = _configured(config, document)
    roles = Roles(timestamp=timestamp, id=id_column, prediction=prediction, score=score, label=label)
    plan = model_plan(watched, settings)
    budgets = (plan.false_alarm_days, *(days for days in SWEPT_DAYS if sweep and days != plan.false_alarm_days))
    with _source(data, store, labels, roles, watched, settings, hourly=hourly) as source, _bar(source.rows) as told:
        plans = [with_budget(plan, days) for days in budgets]
        replayed = replay(plans, source.deltas, source.known, told)
    said = Said(watched.name, budgets, source.skipped, source.notes)
    result = report(replayed, known, said)
    if as_json:
        typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
    else:
        _tell(result)


def _check_sources(data: Path | None, store: str, labels: Path | None) -> None:
    if (data is None) == (not store):
        raise ConfigError(
            "a backtest needs DATA or --store, one of the two",
            code="backtest_source",
            hint="mlmon backtest history.csv --baseline b.json, or mlmon backtest --store sqlite:///mlmon.db ...",
        )
    if store and labels:
        raise ConfigError(
            "--labels goes with DATA: a store has its own labels", code="backtest_source", hint="Leave --labels out."
        )


def _configured(config: Path | None, baseline: Baseline) -> tuple[Settings, Watched]:
    """The settings that serve the baseline's model; the defaults where no model is configured."""
    from mlmon_sidecar.config import ModelSettings, load
    from mlmon_sidecar.runtime.assembly import Watched, redaction_policy

    loaded = load(config)
    for warning in loaded.warnings:
        show_warning(warning)
    name, models = baseline.layout.model, loaded.settings.models
    if name not in models and any(model.routes for model in models.values()):
        raise ConfigError(
            f"the baseline was built for model {name!r}, which is not configured",
            code="model_unknown",
            hint=f"Configured are {', '.join(sorted(models))}.",
        )
    baseline.require_policy(redaction_policy(loaded.settings).hash)
    return loaded.settings, Watched(name, models.get(name, ModelSettings()), baseline)


@contextmanager
def _source(
    data: Path | None, store: str, labels: Path | None, roles: Roles, watched: Watched, settings: Settings, *,
    hourly: bool,
) -> Iterator[Source]:  # fmt: skip
    from mlmon_sidecar.backtest.source import rows_source, store_source
    from mlmon_sidecar.redact import Redactor
    from mlmon_sidecar.runtime.assembly import decode_options, redaction_policy
    from mlmon_sidecar.store import is_postgres, open_store, store_path

    baseline = watched.baseline
    assert baseline is not None, "a backtest has one"
    if data is not None:
        redactor = Redactor(redaction_policy(settings))
        options = decode_options(watched, settings.model_version)
        yield rows_source(data, labels, roles, baseline, options, redactor, minutes=60 if hourly else 1)
        return
    if not (is_postgres(store) or store_path(store).exists()):
        raise StoreError(f"there is no store {store_path(store)}", code="no_store", hint="Check the path in --store.")
    opened = open_store(store)
    try:
        yield store_source(opened, watched.name, baseline.layout, watched.settings.shadow)
    finally:
        opened.close()


@contextmanager
def _bar(rows: int | None) -> Iterator[Callable[[int], None]]:
    """``rows``: in all; None: not known before."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("replaying", total=rows)
        yield lambda done: bar.update(task, completed=done)


def _tell(result: Report) -> None:
    if result["start"] is None or result["end"] is None:
        out.print("There is no history to replay.")
        return
    span = f"{_when(result['start'])} to {_when(result['end'])}"
    out.print(f"[bold]{escape(result['model'])}[/]: {result['rows']:,} rows, {span}, one false alarm in "
              f"{result['false_alarm_days']:g} days allowed")  # fmt: skip
    for reason, count in result["skipped"].items():
        out.print(f"[dim]{escape(reason)}: {count:,}[/]")
    for note in result["notes"]:
        out.print(f"[dim]note: {escape(note)}[/]")
    _tell_alerts(result["alerts"])
    _tell_known(result)
    _tell_sweep(result)


def _tell_alerts(alerts: Sequence[AlertView]) -> None:
    if not alerts:
        out.print("\n[green]No alert.[/]")
        return
    table = Table("opened", "", "rule", "what", "resolved", title="Alerts", title_justify="left", box=None)
    for alert in alerts:
        colour = TIER_COLOURS[alert["tier"]]
        resolved = "still open" if alert["resolved"] is None else _when(alert["resolved"])
        tier = f"[{colour}]{alert['tier']}[/]"
        table.add_row(_when(alert["opened"]), tier, alert["rule"], escape(alert["summary"]), resolved)
    out.print()
    out.print(table)


def _tell_known(result: Report) -> None:
    if not result["known"]:
        return
    table = Table(
        "incident", "onset", "told after", "rows", "by", title="Known incidents", title_justify="left", box=None
    )
    for item in result["known"]:
        told: tuple[str, ...] = ("[red]never[/]", "", "")
        if item["alert"] is not None and item["delay_hours"] is not None:
            told = (_hours(item["delay_hours"]), f"{item['rows']:,}", result["alerts"][item["alert"]]["rule"])
        table.add_row(escape(item["name"]), _when(item["onset"]), *told)
    out.print()
    out.print(table)
    for at in result["unmatched"]:
        alert = result["alerts"][at]
        out.print(f"no known incident: {alert['tier']} {alert['rule']}, {_when(alert['opened'])}")


def _tell_sweep(result: Report) -> None:
    if not result["sweep"]:
        return
    table = Table(
        "days a false alarm", "alerts", "P1", "P2", "P3", title="Other budgets", title_justify="left", box=None
    )
    if result["known"]:
        for name in ("found", "median delay", "no known incident"):
            table.add_column(name)
    for item in result["sweep"]:
        cells: list[Any] = [f"{item['false_alarm_days']:g}", item["alerts"], *item["tiers"].values()]
        if result["known"]:
            delay = item["median_delay_hours"]
            cells += [item["found"], "" if delay is None else _hours(delay), item["unmatched"]]
        table.add_row(*map(str, cells))
    out.print()
    out.print(table)


def _when(iso: str) -> str:
    return iso[:16].replace("T", " ")


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"
