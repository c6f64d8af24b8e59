"""Writing baselines, with the progress of building them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mlmon_sidecar.cli.console import err
from mlmon_sidecar.errors import ConfigError

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.document import Baseline


def progress_bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=err, transient=True)


def save(baseline: Baseline, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        baseline.save(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}",
            code="baseline_unwritable",
            hint="Name another with --output.",
        ) from error
