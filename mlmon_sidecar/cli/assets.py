"""``mlmon assets``: dashboards, rules, monitors and Collector configurations as files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlmon_sidecar.cli.console import out
from mlmon_sidecar.errors import MlmonError


class Kind(StrEnum):
    GRAFANA = "grafana"
    PROMETHEUS = "prometheus"
    DATADOG = "datadog"
    COLLECTOR = "collector"


def assets(
    kind: Annotated[Kind, typer.Argument(help="What to write.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where; it is made if need be.")],
) -> None:
    """Write dashboards (grafana), rules (prometheus), dashboard and monitors (datadog), or collector configurations."""
    from mlmon_sidecar.assets.writing import write

    try:
        for path in write(kind, output):
            out.print(str(path), markup=False)
    except OSError as error:
        raise MlmonError(f"{output} cannot be written ({error.strerror})", code="cannot_write") from error
