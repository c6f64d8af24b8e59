"""The recorded pairs under ``fixtures``: what a server was really sent, and what it answered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlmon_sidecar.records import Exchange

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = ".expected.json"
CASES = sorted(
    str(path.relative_to(FIXTURES).with_suffix(""))
    for path in FIXTURES.glob("*/*.json")
    if (path.parent / f"{path.stem}{EXPECTED}").exists()
)


def recorded(case: str) -> dict[str, Any]:
    return json.loads((FIXTURES / f"{case}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def expected(case: str) -> dict[str, Any]:
    """Columns, predictions, aliases and names, written by hand from what the server was sent."""
    return json.loads((FIXTURES / f"{case}{EXPECTED}").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def as_exchange(case: str, make: Callable[..., Exchange]) -> Exchange:
    pair = recorded(case)
    request, response = pair["request"], pair["response"]
    return make(
        _body(case, request),
        _body(case, response),
        path=request["path"],
        method=request["method"],
        status=response["status"],
        request_headers=_headers(request),
        response_headers=_headers(response),
    )


def _headers(side: dict[str, Any]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode("latin-1")) for name, value in side["headers"])


def _body(case: str, side: dict[str, Any]) -> bytes:
    if "body_file" in side:
        return (FIXTURES / case).with_name(side["body_file"]).read_bytes()
    return str(side["body"]).encode()
