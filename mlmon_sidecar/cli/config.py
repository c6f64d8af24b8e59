"""``mlmon config``: what is set, whether it is right, and what could be set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mlmon_sidecar.cli.console import out, show_warning
from mlmon_sidecar.errors import ConfigError

config_app = typer.Typer(help="Show, check and describe the configuration.", no_args_is_help=True)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The file; without it MLMON_CONFIG, else ./mlmon.toml."),
]


@config_app.command()
def show(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, without origins.")] = False,
) -> None:
    """Show every setting in force and where it comes from."""
    from mlmon_sidecar.config import load

    loaded = load(config)
    values = _presentable(loaded.settings.model_dump(mode="json"))
    if as_json:
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return
    for key, value in _rows(values):
        origin = loaded.origin(key)
        line = escape(f"{_dotted(key)} = {json.dumps(value, ensure_ascii=False)}")
        out.print(
            f"[dim]{line}  # {escape(origin)}[/]" if origin == "default" else f"{line}  [dim]# {escape(origin)}[/]"
        )
    for warning in loaded.warnings:
        show_warning(warning)


@config_app.command()
def check(config: ConfigFile = None) -> None:
    """Check the configuration and that every file it names can be read; exit with 1 where anything is wrong."""
    from mlmon_sidecar.config import load

    loaded = load(config)
    for warning in loaded.warnings:
        show_warning(warning)
    missing = [problem for key, path in _named_files(loaded.settings) if (problem := _unreadable(key, path))]
    if missing:
        raise ConfigError(
            "\n".join(missing), code="config_file_unreadable", hint="Correct the path or the file's mode."
        )
    from mlmon_sidecar.runtime.checkup import problems

    if wrong := problems(loaded.settings, loaded.origin):
        raise ConfigError("\n".join(wrong), code="config_unusable")
    models = ", ".join(sorted(loaded.settings.models))
    out.print(f"[green]ok:[/] {escape(loaded.file or 'no file, defaults only')}; models: {escape(models)}")


@config_app.command()
def schema() -> None:
    """Print the JSON schema of mlmon.toml, for editors."""
    from mlmon_sidecar.config import Settings

    print(json.dumps(Settings.json_schema(), indent=2, ensure_ascii=False))


def _presentable(value: Any) -> Any:
    from mlmon_sidecar.config.problems import without_credentials

    if isinstance(value, dict):
        return {name: _presentable(inner) for name, inner in value.items()}
    return without_credentials(value) if isinstance(value, str) else value


def _rows(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _rows(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _dotted(key: tuple[str, ...]) -> str:
    from mlmon_sidecar.config.shape import text

    return text(key)


def _named_files(settings: Any) -> Iterator[tuple[str, str]]:
    for name, model in settings.models.items():
        if model.baseline:
            yield _dotted(("models", name, "baseline")), model.baseline
    for scope, path in settings.tokens:
        if path:
            yield f"tokens.{scope}", path


def _unreadable(key: str, path: str) -> str:
    try:
        with Path(path).open("rb"):
            return ""
    except OSError as error:  # The path is not repeated: a token may stand there by mistake.
        return f"{key}: the file it names cannot be read ({error.strerror})"
