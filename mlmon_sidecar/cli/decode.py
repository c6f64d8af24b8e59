"""``mlmon decode``: how a body is read, from its bytes to columns and predictions, or why it is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mlmon_sidecar.cli.console import out, show_warning
from mlmon_sidecar.errors import ConfigError

STANDARD_INPUT = "-"
TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".ndjson": "application/x-ndjson",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".npy": "application/x-npy",
    ".sse": "text/event-stream",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
}
"""Content types by the end of a file's name, where nobody says otherwise."""


def decode(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The request's body, as sent; - for standard input.")],
    explain: Annotated[bool, typer.Option("--explain", help="Why, and what was left out.")] = False,
    response: Annotated[str, typer.Option(metavar="FILE", help="The answer's body.")] = "",
    path: Annotated[str, typer.Option(metavar="P", help="Path of the request.")] = "/predict",
    method: Annotated[str, typer.Option(metavar="M", help="Method of the request.")] = "POST",
    content_type: Annotated[str, typer.Option(metavar="T", help="Of the request; else by the file's name.")] = "",
    response_content_type: Annotated[str, typer.Option(metavar="T", help="Of the answer; likewise.")] = "",
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A further header of the request; repeatable.")
    ] = None,
    response_header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A further header of the answer; repeatable.")
    ] = None,
    status: Annotated[int, typer.Option(metavar="N", help="Status of the answer.")] = 200,
    model: Annotated[str, typer.Option(metavar="NAME", help="A configured model; else by its routes.")] = "",
    values: Annotated[bool, typer.Option("--values", help="Show the first values of columns, redacted.")] = False,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration that serves.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, see docs/payloads.md.")] = False,
) -> None:
    """Show what a request, and its answer, become: protocol, columns, predictions; or why they become nothing."""
    from mlmon_sidecar.config import load
    from mlmon_sidecar.runtime.explain import Given, explained

    if file == response == STANDARD_INPUT:
        raise ConfigError("both sides are standard input", code="file_unreadable", hint="Name a file for one of them.")
    given = Given(
        request=_read(file),
        response=_read(response) if response else None,
        method=method.upper(),
        path=path,
        request_headers=_headers(content_type or _type_of(file), header or []),
        response_headers=_headers(response_content_type or _type_of(response), response_header or []),
        status=status,
    )
    loaded = load(config)
    answer = explained(loaded.settings, loaded.origin, given, model=model, values=values)
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        for line in _lines(answer, explain):
            out.print(_printable(line), emoji=False)
        for note in answer["notes"]:
            show_warning(_printable(note))
    if not answer["ok"]:
        raise typer.Exit(1)


def _printable(text: str) -> str:
    """Names and classes are what clients chose: no sequence in them may reach the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror})", code="file_unreadable", hint="Name a file, or - for input."
        ) from None


def _type_of(file: str) -> str:
    return TYPES.get(Path(file).suffix.lower(), "")


def _headers(media_type: str, further: list[str]) -> tuple[tuple[bytes, bytes], ...]:
    headers = [("content-type", media_type)] if media_type else []
    for text in further:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise ConfigError("a header has no name", code="bad_header", hint="Write it as 'X-Request-Id: 7'.")
        headers.append((name.strip().lower(), value.strip()))
    return tuple((name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers)


def _lines(answer: dict[str, Any], explain: bool) -> Iterator[str]:
    """The answer as markup for a terminal."""
    for side in ("request", "response"):
        if answer[side] is not None:
            yield _side(side, answer[side], explain)
    error = answer["error"]
    if error is not None:
        at = "" if error["byte"] is None else f" at byte {error['byte']}"
        said = f"{error['side']}: {error['message']}{at}"
        yield f"[bold red]dropped:[/] {escape(said)} [dim]\\[{error['code']}][/]"
        yield f"[dim]{escape(error['hint'])}[/]"
    else:
        yield f"[bold]model:[/] {escape(answer['model'])}, version {escape(answer['version'])}"
        yield f"[bold]rows:[/] {answer['rows']}, columns: {len(answer['columns'])}"
        yield from map(_column, answer["columns"])
    yield from _predictions(answer)
    if answer["generation"] is not None:
        yield _generation(answer["generation"])
    if explain and error is None:
        yield from _remarks(answer)


def _side(name: str, side: dict[str, Any], explain: bool) -> str:
    of = side["media_type"] or "no content type"
    said = (side["protocol"] or "no protocol") + (f": {side['reason']}" if explain else "")
    return f"[bold]{name}:[/] {escape(said)} [dim]({escape(of)}, {side['bytes']} bytes)[/]"


def _column(column: dict[str, Any]) -> str:
    missing = f", {column['missing']} missing" if column["missing"] else ""
    values = f" [dim]{escape(json.dumps(column['values'], ensure_ascii=False))}[/]" if "values" in column else ""
    return f"  {escape(column['name'])}: {escape(column['type'])}{missing}{values}"


def _predictions(answer: dict[str, Any]) -> Iterator[str]:
    for at, found in enumerate(answer["predictions"]):
        said = [
            f"{name} {found[name]}" for name in ("class", "score", "confidence", "segment") if found[name] is not None
        ]
        alias = answer["aliases"][at]
        also = f" [dim]id {escape(alias)}[/]" if alias is not None else ""
        yield f"[bold]prediction {found['row']}:[/] {escape(', '.join(said) or 'none')}{also}"
    if not answer["predictions"] and any(answer["aliases"]):
        yield f"[bold]id:[/] {escape(', '.join(alias or 'none' for alias in answer['aliases']))}"
    if answer["rows"] > len(answer["predictions"]) > 0:
        yield f"[dim]and {answer['rows'] - len(answer['predictions'])} more[/]"


def _generation(found: dict[str, Any]) -> str:
    about = " (estimated)" if found["tokens_estimated"] else ""
    reasons = ", ".join(reason or "none" for reason in found["finish_reasons"]) or "none"
    failed = f" {found['error']}" if found["error"] else ""
    tokens = f"{found['input_tokens']} tokens in, {found['output_tokens']} out{about}"
    ended = f"{found['operation']}, {found['end']}{failed}; finish reason {reasons}"
    return f"[bold]generation:[/] {escape(ended)}; {tokens}"


def _remarks(answer: dict[str, Any]) -> Iterator[str]:
    left_out = ", ".join(f"{name} {count}" for name, count in answer["left_out"].items())
    yield f"[bold]left out:[/] {escape(left_out or 'nothing')}"
    schema = answer["schema"]
    for one in schema["violations"]:
        where = f" in {one['column']}" if one["column"] else ""
        yield f"[bold]schema:[/] {escape(one['kind'] + where)}, {one['rows']} rows ({escape(one['detail'])})"
    if not schema["violations"]:
        yield f"[bold]schema:[/] {'as the baseline has it' if schema['baseline'] else 'no baseline to compare with'}"
