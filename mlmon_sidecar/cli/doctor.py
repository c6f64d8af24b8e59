"""``mlmon doctor``: what works and what does not, where the application runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mlmon_sidecar.cli.console import out

COLORS = {"ok": "green", "note": "dim", "warn": "yellow", "fail": "red"}


def doctor(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration file.")] = None,
) -> None:
    """Look at configuration, store, hub, endpoint, credentials and clock; say what leaves the process."""
    from mlmon_sidecar.config import load
    from mlmon_sidecar.runtime.doctor import Verdict, examine

    failed = False
    for found in examine(load(config), os.environ):
        color = COLORS[found.verdict.value]
        out.print(f"[{color}]{found.verdict.value:4}[/]  {found.part:13}  {escape(found.text)}")
        if found.hint:
            out.print(f"{'':21}[dim]{escape(found.hint)}[/]")
        failed |= found.verdict is Verdict.FAIL
    if failed:
        raise typer.Exit(1)
