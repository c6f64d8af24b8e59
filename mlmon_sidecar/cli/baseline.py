"""``mlmon baseline``: what normal looks like, built from data and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mlmon_sidecar.cli.console import err, out, show_warning
from mlmon_sidecar.cli.held_baselines import add_to
from mlmon_sidecar.errors import ConfigError

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.build import Purpose
    from mlmon_sidecar.baseline.document import Baseline
    from mlmon_sidecar.config import Settings
    from mlmon_sidecar.statistics.layout import Feature

SHOWN_CATEGORIES = 4

baseline_app = typer.Typer(help="Build and show baselines, and give them to a running service.", no_args_is_help=True)
add_to(baseline_app)


@baseline_app.command()
def build(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Healthy data: .csv, .jsonl or .parquet.")],
    output: Annotated[Path, typer.Option(metavar="B", help="The document to write.")],
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration that serves.")] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model, where several are configured.")] = "",
    timestamp: Annotated[str, typer.Option(metavar="COLUMN", help="Time of the prediction.")] = "",
    id_column: Annotated[str, typer.Option("--id", metavar="COLUMN", help="Id of the row.")] = "",
    prediction: Annotated[str, typer.Option(metavar="COLUMN", help="Predicted class or number.")] = "",
    score: Annotated[str, typer.Option(metavar="COLUMN", help="Score of the prediction.")] = "",
    label: Annotated[str, typer.Option(metavar="COLUMN", help="What turned out to be true.")] = "",
) -> None:
    """Build a baseline from healthy data; every column without a role is a feature."""
    from mlmon_sidecar.baseline.document import Roles
    from mlmon_sidecar.baseline.reading import build_baseline_from_file
    from mlmon_sidecar.config import load
    from mlmon_sidecar.redact import Redactor
    from mlmon_sidecar.runtime.assembly import redaction_policy

    chosen: dict[str, Any] = {"model": model} if model else {}
    loaded = load(config, **chosen)
    for warning in loaded.warnings:
        show_warning(warning)
    redactor = Redactor(redaction_policy(loaded.settings))
    with _bar() as bar:
        task = bar.add_task(f"building from {escape(data.name)}", total=1.0)
        baseline = build_baseline_from_file(
            data,
            Roles(timestamp=timestamp, id=id_column, prediction=prediction, score=score, label=label),
            _purpose(loaded.settings),
            redact_category=redactor.category,
            policy=redactor.policy.hash,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            progress=lambda part: bar.update(task, completed=part),
        )
    _save(baseline, output)
    for note in baseline.notes:
        out.print(f"[dim]note:[/] {escape(note)}")
    features = len(baseline.layout.features)
    out.print(f"[green]wrote {escape(str(output))}:[/] {baseline.rows:,} rows, {features} features")


@baseline_app.command()
def show(baseline: Annotated[Path, typer.Argument(metavar="B", help="A document that build wrote.")]) -> None:
    """Show what a baseline holds."""
    from mlmon_sidecar.baseline.document import Baseline

    document = Baseline.load(baseline)
    reference = document.reference
    hours = f"{reference.hours} hours" if reference.hours else "no timestamps"
    out.print(
        f"[bold]{escape(document.layout.model)}[/], version {escape(reference.version)}: {document.rows:,} rows of "
        f"{escape(document.source)}, {hours}, built {escape(document.created)}"
    )
    space = document.layout.prediction
    out.print(f"predictions: {space.kind}{''.join(f', {escape(name)}' for name in space.classes)}")
    table = Table("feature", "kind", "bins", "values")
    for feature in document.layout.features:
        table.add_row(*map(escape, _described(feature)))
    out.print(table)
    for note in document.notes:
        out.print(f"[dim]note:[/] {escape(note)}")


def _bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=err, transient=True)


def _purpose(settings: Settings) -> Purpose:
    """How the one model in question reads its predictions. Raises ``ConfigError`` where several could be meant."""
    from mlmon_sidecar.baseline.build import Purpose
    from mlmon_sidecar.decode.embedding import make_embedder
    from mlmon_sidecar.runtime.assembly import text_columns

    captured = settings.captured()
    if len(captured) > 1:
        names = ", ".join(sorted(captured))
        raise ConfigError(f"several models are configured: {names}", code="model_needed", hint="Name one with --model.")
    ((name, model),) = captured.items()
    given = {"version": model.constant_version, "positive": model.prediction.positive}
    return Purpose(
        model=name,
        kind=model.prediction.kind,
        threshold=model.prediction.threshold,
        text=text_columns(model),
        embedder=make_embedder(model.embedder),
        **{field: text for field, text in given.items() if text is not None},
    )


def _save(baseline: Baseline, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        baseline.save(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}",
            code="baseline_unwritable",
            hint="Name another with --output.",
        ) from error


def _described(feature: Feature) -> tuple[str, str, str, str]:
    from mlmon_sidecar.statistics.layout import NumericFeature

    if isinstance(feature, NumericFeature):
        return feature.name, feature.kind, str(len(feature.edges) + 1), f"{feature.minimum:g} to {feature.maximum:g}"
    listed = ", ".join(feature.categories[:SHOWN_CATEGORIES])
    more = len(feature.categories) + len(feature.known) - SHOWN_CATEGORIES
    return (
        feature.name,
        feature.kind,
        str(len(feature.categories) + 2),
        listed + (f" and {more} more" if more > 0 else ""),
    )
