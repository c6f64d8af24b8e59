"""Reference pages from the code: ``python scripts/generate_docs.py`` writes them, ``--check`` only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined, to_jsonable_python

from mlmon_sidecar.config import Settings, format_duration
from mlmon_sidecar.config.layers import variable_name
from mlmon_sidecar.config.shape import Option, options, table_of

ROOT = Path(__file__).resolve().parent.parent

CONFIGURATION_HEAD = """\
# Configuration

Every setting has a default: without any file one model named `default` is watched on every POST and PUT.

**Where settings come from.** Keyword arguments win over environment variables, these over the file, the file over the
defaults; tables merge key by key. The file is the one named by a keyword (or `--config`), else by `MLMON_CONFIG`, else
`mlmon.toml` in the working directory. Relative paths are relative to the working directory.

**Variables.** A setting's variable is `MLMON_` and its key in capitals, with two underscores between table and key:
`MLMON_HUB__URL`. Lists are separated by commas. A model is named in any case, with `_` for `-` and `.`:
`MLMON_MODELS__CAR_LOAN__VERSION`. Three more variables are no settings: `MLMON_CONFIG`, `MLMON_DEBUG` (the command line
shows tracebacks) and those that begin with `MLMON_TEST_` (this project's own test runs).

**References.** Text in the file may hold `${NAME}`, which must be set, or `${NAME:-default}`. `$${NAME}` is `${NAME}`
itself.

**Durations** are numbers with units: `90s`, `15m`, `12h`, `60d`, `2w`, `1d12h`.

**Selectors** name a place in an exchange: `request.id`, `response.predictions[0]`, `response[*].score`,
`header.x-request-id`.

**Mistakes.** An unknown key or an impossible value is an error that names file, key, value and fix, all at once.
A server starts all the same, unmonitored, and says so; `mlmon config check` exits with 1. An unknown `MLMON_*` variable
is only warned about, and what Kubernetes injects for a Service named `mlmon` is ignored. `mlmon config show` prints
every setting in force with its origin; `mlmon config schema` prints a JSON schema for editors.

This page is generated from the code by `scripts/generate_docs.py`.
"""


def configuration() -> str:
    """docs/configuration.md."""
    sections: dict[tuple[str, ...], list[Option]] = {}
    for option in options(Settings):
        sections.setdefault(option.key[:-1], []).append(option)
    parts = [CONFIGURATION_HEAD]
    for prefix, members in sections.items():
        title = f"`[{'.'.join(prefix)}]`" if prefix else "Top level"
        rows = "".join(_row(option) for option in members)
        parts.append(f"## {title}\n\n{_about(prefix)}| key | type | default | meaning |\n|---|---|---|---|\n{rows}")
    return "\n".join(parts)


def _about(prefix: tuple[str, ...]) -> str:
    from mlmon_sidecar.config.shape import find

    table = table_of(find(Settings, prefix)) if prefix else None
    text = f"{(table.__doc__ or '').strip()}\n\n" if table else ""
    example = variable_name((*prefix, "...")).replace("...", "KEY") if prefix else ""
    return text + (f"Variables: `{example}`.\n\n" if example else "")


def _row(option: Option) -> str:
    field = option.field
    meaning = f"{field.description} For example `{_written(field.examples[0])}`." if field.examples else ""
    cells = (
        f"`{option.key[-1]}`",
        _type(field.annotation),
        _default(field.get_default(call_default_factory=True)),
        meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _default(value: Any) -> str:
    if value is None:
        return "not set"
    if value is PydanticUndefined:
        return "required"
    return f"`{_written(format_duration(value) if hasattr(value, 'total_seconds') else to_jsonable_python(value))}`"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{_written(choice)}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of texts"
    names = {"str": "text", "bool": "boolean", "int": "whole number", "float": "number", "timedelta": "duration"}
    members: Iterator[Any] = (part for part in get_args(annotation) or (annotation,) if part is not type(None))
    return " or ".join(names.get(getattr(part, "__name__", ""), "text") for part in members)


PAGES: Mapping[str, Callable[[], str]] = {"docs/configuration.md": configuration}


def stale() -> list[str]:
    """Pages whose file is not what the code says."""
    return [name for name, page in PAGES.items() if _read(ROOT / name) != page()]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> int:
    if "--check" in sys.argv[1:]:
        for name in (names := stale()):
            print(f"{name} is out of date: run make docs")
        return 1 if names else 0
    for name, page in PAGES.items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(page(), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
