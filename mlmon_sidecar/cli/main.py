"""``mlmon``: one line for each command here, one file for each command beside it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from mlmon_sidecar.cli.assets import assets
from mlmon_sidecar.cli.backtest import backtest
from mlmon_sidecar.cli.baseline import baseline_app
from mlmon_sidecar.cli.config import config_app
from mlmon_sidecar.cli.console import show_crash, show_error
from mlmon_sidecar.cli.decode import decode
from mlmon_sidecar.cli.demo import demo
from mlmon_sidecar.cli.doctor import doctor
from mlmon_sidecar.cli.hub import hub
from mlmon_sidecar.cli.labels import labels_app
from mlmon_sidecar.cli.redact import redact
from mlmon_sidecar.cli.store import store_app
from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.version import __version__

DEBUG_VARIABLE = "MLMON_DEBUG"

app = typer.Typer(
    name="mlmon",
    help="Tells whether your model still gives good answers, not only whether it answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(config_app, name="config")
app.add_typer(baseline_app, name="baseline")
app.add_typer(labels_app, name="labels")
app.add_typer(store_app, name="store")
app.command()(hub)
app.command()(decode)
app.command()(redact)
app.command()(backtest)
app.command()(demo)
app.command()(assets)
app.command()(doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mlmon {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of ``mlmon`` itself."""


def main() -> None:
    """Run the command line. Exit codes: 0, 1 for an error, 2 for wrong usage; a traceback only with MLMON_DEBUG."""
    try:
        app()
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        if isinstance(error, MlmonError):
            show_error(error)
        else:
            show_crash(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
