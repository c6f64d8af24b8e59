"""``mlmon hub``: the hub as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlmon_sidecar.cli.console import show_warning

LARGEST_PORT = 65_535


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPV6]:PORT``. Raises ``typer.BadParameter``, which is a usage error."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= LARGEST_PORT):
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8765")
    return host, int(port)


def hub(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration file.")] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve the page and the feedback endpoint there.")
    ] = None,
) -> None:
    """Run the hub of a store as its own process, until it is told to stop."""
    address = parse_address(listen) if listen is not None else None

    from mlmon_sidecar.config import load
    from mlmon_sidecar.runtime.separate_hub import run_hub

    loaded = load(config)
    for warning in loaded.warnings:
        show_warning(warning)
    run_hub(loaded, address)
