"""``mlmon demo``: a real model, real requests, and what the monitor says about them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play the whole story once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on standard output.")] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port of the model server; 0: any free one.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the store and all files here, and continue them.")
    ] = None,
) -> None:
    """Serve a real model, send it real requests, and watch the data drift, break and recover."""
    from mlmon_sidecar.demo.story import main

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds: the model server ends with us
    main(once=once, as_json=as_json, port=port, keep=keep)
