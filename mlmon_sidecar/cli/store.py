"""``mlmon store``: what a person may do to the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mlmon_sidecar.cli.console import out
from mlmon_sidecar.errors import ConfigError

store_app = typer.Typer(help="Look after the store.", no_args_is_help=True)


@store_app.callback()
def store() -> None:
    """Look after the store."""


@store_app.command()
def forget(
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A prediction id, as the response header said.")
    ] = None,
    aliases: Annotated[
        list[str] | None, typer.Option("--alias", metavar="A", help="The caller's own id; every prediction under it.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The file; without it MLMON_CONFIG, else ./mlmon.toml."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Erase predictions and their labels from the store, beyond recovery: its file is written anew.

    Counts stay, for they name nobody. What was exported as logs or traces is not in the store: erase it where it went.
    """
    if not ids and not aliases:
        raise ConfigError("nobody is named", code="nobody_named", hint="Give --id or --alias, each as often as needed.")

    from mlmon_sidecar.config import load
    from mlmon_sidecar.runtime.at_the_hub import erase

    erased = erase(load(config).settings, ids or [], aliases or [])
    if as_json:
        print(json.dumps(erased._asdict()))
    else:
        out.print(f"erased {erased.predictions} predictions and {erased.labels} labels")
