"""What commands share: the two consoles, and how an error looks."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from mlmon_sidecar.errors import MlmonError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def show_error(error: MlmonError) -> None:
    """The message in red with its code, and what to do about it."""
    message = escape(Exception.__str__(error))
    err.print(f"[bold red]error:[/] [red]{message}[/] [dim]{escape(f'[{error.code}]')}[/]")
    if error.hint:
        err.print(f"[dim]{escape(error.hint)}[/]")


def show_crash(error: Exception) -> None:
    """A fault of our own: its type only, as the text may hold what it should not."""
    err.print(
        f"[bold red]error:[/] [red]{type(error).__name__} inside mlmon, which should not happen[/] [dim]\\[internal][/]"
    )
    err.print("[dim]Set MLMON_DEBUG=1 to see the traceback.[/]")


def show_warning(text: str) -> None:
    err.print(f"[yellow]warning:[/] {escape(text)}")
