"""``mlmon labels``: labels from files to the hub."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mlmon_sidecar.cli.console import err, out

if TYPE_CHECKING:
    from mlmon_sidecar.cli.label_files import Columns
    from mlmon_sidecar.client import FeedbackClient, Label

LABELS_AT_ONCE = 5_000
REJECTS_SHOWN = 20

labels_app = typer.Typer(help="Send labels.", no_args_is_help=True)


@labels_app.callback()
def labels() -> None:
    """Send labels."""


@labels_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labels: .csv, .jsonl or .parquet.")],
    url: Annotated[str, typer.Option(metavar="URL", help="The hub, or the application with its prefix (/mlmon).")],
    token_file: Annotated[Path, typer.Option(metavar="FILE", help="The token with the scope label.")],
    id_column: Annotated[str, typer.Option("--id", metavar="COLUMN", help="Prediction id or your own id.")] = "id",
    label: Annotated[str, typer.Option(metavar="COLUMN", help="What turned out to be true.")] = "label",
    observed_at: Annotated[str, typer.Option(metavar="COLUMN", help="When it became known.")] = "observed_at",
    weight: Annotated[str, typer.Option(metavar="COLUMN", help="How much it counts.")] = "weight",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model, for every row.")] = "",
    source: Annotated[str, typer.Option(metavar="NAME", help="Where they come from, for every row.")] = "",
    utc: Annotated[bool, typer.Option("--utc", help="Times without a zone are UTC.")] = False,
    signing_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sign with this key, where the hub asks for it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send the labels in a file, in batches; sending a file again counts every label once.

    Ends with 1 where a row was not taken, after all others were.
    """
    from mlmon_sidecar.cli.label_files import Columns
    from mlmon_sidecar.client import FeedbackClient

    columns = Columns(id_column, label, observed_at, weight, model, source, utc)
    counts: Counter[str] = Counter()
    rejects: list[tuple[int, str]] = []
    with FeedbackClient(url, token_file=token_file, signing_key_file=signing_key_file) as client, _bar() as bar:
        task = bar.add_task(f"sending {escape(file.name)}", total=1.0)
        for row, status, reason in _sent(file, columns, client, lambda part: bar.update(task, completed=part)):
            counts[status] += 1
            if status in {"invalid", "ambiguous", "expired", "quarantined"} and len(rejects) < REJECTS_SHOWN:
                rejects.append((row, f"{status}: {reason}"))
    rejects.sort()
    if as_json:
        print(json.dumps({**counts, "rejects": [{"row": row, "reason": reason} for row, reason in rejects]}))
    else:
        said = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        out.print(f"sent {counts.total():,} labels: {said}" if counts else "the file holds no rows")
        for row, reason in rejects:
            err.print(f"[yellow]row {row}:[/] {escape(reason)}")
    if rejects:
        raise typer.Exit(1)


def _sent(
    file: Path, columns: Columns, client: FeedbackClient, progress: Callable[[float], None]
) -> Iterator[tuple[int, str, str]]:
    """(row, what became of it, why) of every row, from 1; in batches, so that no file is too large."""
    from mlmon_sidecar.cli.label_files import label_of
    from mlmon_sidecar.runtime.row_files import rows_of

    rows = enumerate(rows_of(file, progress), start=1)
    while batch := list(islice(rows, LABELS_AT_ONCE)):
        fit: list[tuple[int, Label]] = []
        for number, row in batch:
            found = label_of(row, columns)
            if isinstance(found, str):
                yield number, "invalid", found
            else:
                fit.append((number, found))
        receipt = client.send(label for _, label in fit)
        for (number, _), answer in zip(fit, receipt.items, strict=True):
            yield number, answer.status.value, answer.reason


def _bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=err, transient=True)
