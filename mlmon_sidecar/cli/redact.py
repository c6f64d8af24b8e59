"""``mlmon redact``: a document as it would be kept, and which rule acted where."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mlmon_sidecar.cli.console import err
from mlmon_sidecar.errors import ConfigError, MlmonError


def redact(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON, JSON lines or text; - for standard input.")],
    preset: Annotated[str, typer.Option(metavar="P", help="A preset instead of the configured policy.")] = "",
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration that serves.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Which rule acted where; never the value.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: document, and actions.")] = False,
) -> None:
    """Show a document as the redaction policy leaves it."""
    from mlmon_sidecar.redact import RedactionPolicy, Redactor

    text = _read(file)
    if preset:
        redactor = Redactor(RedactionPolicy.of(preset))
    else:
        from mlmon_sidecar.config import load
        from mlmon_sidecar.runtime.assembly import make_redactor

        redactor = make_redactor(load(config).settings)
    try:
        document, acts = redactor.explain(_document(text))
    except Exception as error:
        raise MlmonError(
            f"the document could not be redacted ({type(error).__name__}); nothing of it would be kept",
            code="redaction_failed",
            hint="A document that takes too long or is too large is dropped, and counted.",
        ) from None
    said = [{"path": _dotted(act.path), "rule": act.rule, "action": act.action.value} for act in acts]
    if as_json:
        print(json.dumps({"document": document, "actions": said} if explain else {"document": document}, indent=2))
        return
    print(document if isinstance(document, str) else json.dumps(document, indent=2, ensure_ascii=False))
    if explain:
        for act in said:
            err.print(escape(f"{act['path'] or '(text)'}: {act['rule']}: {act['action']}"), emoji=False)
        err.print(f"[dim]policy {escape(redactor.policy.preset)}, {len(said)} actions[/]")


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror})", code="file_unreadable", hint="Name a file, or - for input."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: is not UTF-8 at byte {error.start}", code="file_unreadable", hint="Save it as UTF-8."
        ) from None


def _document(text: str) -> Any:
    """One JSON document, or one a line, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()] or text
    except ValueError:
        return text


def _dotted(path: tuple[str | int, ...]) -> str:
    """``inputs[0].data``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
