"""``mlmon baseline push``, ``learn``, ``list``, ``approve``, ``reject``: baselines of a running service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mlmon_sidecar.cli.baseline_files import progress_bar, save
from mlmon_sidecar.cli.baseline_tables import print_comparison
from mlmon_sidecar.cli.console import err, out

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.document import Baseline
    from mlmon_sidecar.config import Loaded
    from mlmon_sidecar.records import HeldBaseline

Config = Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration of the service.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `mlmon baseline list` shows it.")]
Model = Annotated[str, typer.Option(metavar="NAME", help="The model, where several are configured.")]


def add_to(app: typer.Typer) -> None:
    """The commands, under ``mlmon baseline``."""
    app.command("list")(list_held)
    for command in (push, learn, approve, reject):
        app.command()(command)


def push(
    baseline: Annotated[Path, typer.Argument(metavar="B", help="A document that build wrote.")],
    config: Config = None,
    approve: Annotated[bool, typer.Option("--approve", help="Count by it at once, two minutes from now.")] = False,
    json_: AsJson = False,
) -> None:
    """Hand a baseline to the service; it waits there for approval."""
    from mlmon_sidecar.baseline.document import Baseline
    from mlmon_sidecar.config import load
    from mlmon_sidecar.records import BaselineOrder
    from mlmon_sidecar.runtime.at_the_hub import order_baseline

    Baseline.load(baseline)  # what is wrong with the file is said of the file
    loaded = load(config)
    document = baseline.read_text(encoding="utf-8")
    held = order_baseline(loaded, BaselineOrder("offer", document=document, origin="pushed"))
    if approve:
        held = order_baseline(loaded, BaselineOrder("approve", held.model, held.baseline))
    _tell(held, json_)


def learn(
    config: Config = None,
    model: Model = "",
    hours: Annotated[int, typer.Option(metavar="N", min=1, help="How far back.")] = 7 * 24,
    min_rows: Annotated[int, typer.Option(metavar="N", min=1, help="Fewer rows are not taken for normal.")] = 1_000,
    min_hours: Annotated[int, typer.Option(metavar="N", min=0, help="Rows from less time are not either.")] = 24,
    output: Annotated[
        Path | None, typer.Option(metavar="B", help="Write the document there; the service is not told.")
    ] = None,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Take what is served now as the new normal, incidents or not: show what changes, "
            "ask, and count by it in two minutes.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --accept: do not ask.")] = False,
    json_: AsJson = False,
) -> None:
    """Build a baseline from what the service has served, and propose it."""
    if accept and output is not None:
        raise typer.BadParameter("--output writes a file alone; --accept changes what the service counts by")
    from mlmon_sidecar.config import load
    from mlmon_sidecar.records import BaselineOrder
    from mlmon_sidecar.runtime.at_the_hub import order_baseline
    from mlmon_sidecar.runtime.learning import learn_baseline

    with progress_bar() as bar:
        task = bar.add_task("learning from kept rows", total=1.0)
        baseline = learn_baseline(
            config, model, hours=hours, min_rows=min_rows, min_hours=min_hours, healthy=not accept,
            progress=lambda part: bar.update(task, completed=part),
        )  # fmt: skip
    for note in baseline.notes:
        err.print(f"[dim]note:[/] {escape(note)}")
    if output is not None:
        save(baseline, output)
        out.print(f"[green]wrote {escape(str(output))}:[/] {baseline.rows:,} rows")
        return
    loaded, document = load(config), json.dumps(baseline.to_document())
    held = order_baseline(loaded, BaselineOrder("offer", document=document, origin="learned"))
    if accept and _accepted(loaded, baseline, yes):
        held = order_baseline(loaded, BaselineOrder("approve", held.model, held.baseline))
    _tell(held, json_)


def _accepted(loaded: Loaded, baseline: Baseline, yes: bool) -> bool:
    """Whether it is to take the place of the one in use, after a look at what changes."""
    from mlmon_sidecar.baseline.compare import compare
    from mlmon_sidecar.runtime.at_the_hub import baseline_in_use

    before = baseline_in_use(loaded, baseline.layout.model)
    if before is None:
        err.print("there is no baseline yet: nothing to compare with")
    else:
        print_comparison(compare(before, baseline), err)
    return yes or typer.confirm("Is this the new normal?", err=True)


def list_held(config: Config = None, json_: AsJson = False) -> None:
    """Show what the service was given, newest first."""
    from mlmon_sidecar.config import load
    from mlmon_sidecar.runtime.at_the_hub import held_baselines

    found = held_baselines(load(config))
    if json_:
        print(json.dumps({"baselines": [held._asdict() for held in found]}))
        return
    table = Table("id", "model", "state", "from", "rows", "source", "built")
    for held in found:
        table.add_row(
            held.baseline,
            escape(held.model),
            held.state,
            _when(held),
            f"{held.rows:,}",
            escape(held.source),
            held.created,
        )
    out.print(table if found else "the service holds no baseline beside those its configuration names")


def approve(baseline: Id, config: Config = None, model: Model = "", json_: AsJson = False) -> None:
    """Count and compare by a baseline from two minutes on, in the place of the one the configuration names."""
    _decide("approve", baseline, config, model, json_)


def reject(baseline: Id, config: Config = None, model: Model = "", json_: AsJson = False) -> None:
    """Turn a baseline down that waits for approval."""
    _decide("reject", baseline, config, model, json_)


def _decide(action: str, baseline: str, config: Path | None, model: str, json_: bool) -> None:
    from mlmon_sidecar.config import load
    from mlmon_sidecar.errors import BaselineError
    from mlmon_sidecar.records import BaselineOrder
    from mlmon_sidecar.runtime.at_the_hub import held_baselines, order_baseline

    loaded = load(config)
    found = [held for held in held_baselines(loaded) if held.baseline == baseline and model in ("", held.model)]
    if len(found) != 1:
        raise BaselineError(
            f"{len(found)} baselines are called {baseline}",
            code="unknown_baseline",
            hint="See `mlmon baseline list`; --model tells two of one id apart.",
        )
    _tell(order_baseline(loaded, BaselineOrder(action, found[0].model, baseline)), json_)


def _tell(held: HeldBaseline, json_: bool) -> None:
    if json_:
        print(json.dumps(held._asdict()))
        return
    waits = f"; count by it with: mlmon baseline approve {held.baseline}" if held.state == "proposed" else ""
    when = f" from {_when(held)}" if held.state == "active" else ""
    out.print(f"baseline {held.baseline} of {escape(held.model)} is {held.state.value}{when}{waits}")


def _when(held: HeldBaseline) -> str:
    if not held.from_minute:
        return ""
    return datetime.fromtimestamp(held.from_minute * 60, UTC).strftime("%Y-%m-%d %H:%M UTC")
