"""``mlmon baseline``: what normal looks like, built from data, shown, compared and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlmon_sidecar.cli.baseline_files import progress_bar, save
from mlmon_sidecar.cli.baseline_tables import print_comparison, print_description
from mlmon_sidecar.cli.console import out, show_error, show_warning
from mlmon_sidecar.cli.held_baselines import add_to

if TYPE_CHECKING:
    pass

baseline_app = typer.Typer(
    help="Build, show, compare and check baselines, and give them to a running service.", no_args_is_help=True
)
add_to(baseline_app)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Document = Annotated[Path, typer.Argument(metavar="B", help="A document that build wrote.")]
ConfigFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration that serves.")]
ModelName = Annotated[str, typer.Option(metavar="NAME", help="The model, where several are configured.")]


@baseline_app.command()
def build(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Healthy data: .csv, .jsonl or .parquet.")],
    output: Annotated[Path, typer.Option(metavar="B", help="The document to write.")],
    config: ConfigFile = None,
    model: ModelName = "",
    timestamp: Annotated[str, typer.Option(metavar="COLUMN", help="Time of the prediction.")] = "",
    id_column: Annotated[str, typer.Option("--id", metavar="COLUMN", help="Id of the row.")] = "",
    prediction: Annotated[str, typer.Option(metavar="COLUMN", help="Predicted class or number.")] = "",
    score: Annotated[str, typer.Option(metavar="COLUMN", help="Score of the prediction.")] = "",
    label: Annotated[str, typer.Option(metavar="COLUMN", help="What turned out to be true.")] = "",
    weight: Annotated[str, typer.Option(metavar="COLUMN", help="How many rows a row stands for.")] = "",
    segment: Annotated[str, typer.Option(metavar="COLUMN", help="What `annotate` says of the segment.")] = "",
    base_rate: Annotated[
        float | None, typer.Option(metavar="R", help="The population's share of positives, if the data's is another.")
    ] = None,
    importances: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON: feature name to its importance for the model.")
    ] = None,
) -> None:
    """Build a baseline from healthy data; every column without a role is a feature."""
    from mlmon_sidecar.runtime.baselines import build_baseline

    with progress_bar() as bar:
        task = bar.add_task(f"building from {escape(data.name)}", total=1.0)
        baseline = build_baseline(
            data,
            config=config,
            model=model,
            timestamp=timestamp,
            id=id_column,
            prediction=prediction,
            score=score,
            label=label,
            weight=weight,
            segment=segment,
            base_rate=base_rate,
            importances=importances,
            progress=lambda part: bar.update(task, completed=part),
            warn=show_warning,
        )
    save(baseline, output)
    for note in baseline.notes:
        out.print(f"[dim]note:[/] {escape(note)}")
    features = len(baseline.layout.features)
    out.print(f"[green]wrote {escape(str(output))}:[/] {baseline.rows:,} rows, {features} features")


@baseline_app.command()
def show(baseline: Document, as_json: AsJson = False) -> None:
    """Show what a baseline holds, and how small a change it makes visible."""
    from mlmon_sidecar.baseline.describe import describe
    from mlmon_sidecar.baseline.document import Baseline

    described = describe(Baseline.load(baseline))
    if as_json:
        print(json.dumps(described.to_document(), indent=2, ensure_ascii=False))
    else:
        print_description(described)


@baseline_app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="The baseline in use.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The one that would take its place.")],
    as_json: AsJson = False,
) -> None:
    """Show what would change if B took the place of A."""
    from mlmon_sidecar.baseline.compare import compare
    from mlmon_sidecar.baseline.document import Baseline

    comparison = compare(Baseline.load(before), Baseline.load(after))
    if as_json:
        print(json.dumps(comparison.to_document(), indent=2, ensure_ascii=False))
    else:
        print_comparison(comparison)


@baseline_app.command()
def validate(baseline: Document, config: ConfigFile = None, model: ModelName = "") -> None:
    """Check that a baseline is whole and that the model can serve with it; exit code 1 and the reasons if not."""
    from mlmon_sidecar.baseline.document import Baseline
    from mlmon_sidecar.runtime.baselines import problems_of
    from mlmon_sidecar.statistics.indicators import indicators

    document = Baseline.load(baseline)
    watched = indicators(document.layout, document.reference)
    problems = problems_of(document, config, model, show_warning)
    for problem in problems:
        show_error(problem)
    if problems:
        raise typer.Exit(1)
    out.print(
        f"[green]{escape(str(baseline))} fits {escape(document.layout.model)}:[/] "
        f"{len(document.layout.features)} features, {len(watched.unit)} figures watched"
    )
