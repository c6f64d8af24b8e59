"""``mlmon baseline``."""

import typer

baseline_app = typer.Typer(help="Build and show baselines.", no_args_is_help=True)


@baseline_app.command()
def build(data: str) -> None:
    """Build."""


@baseline_app.command()
def show(baseline: str) -> None:
    """Show."""
