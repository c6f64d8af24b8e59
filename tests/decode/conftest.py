"""Exchanges as capture hands them over."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from mlmon_sidecar.records import End, Exchange


def exchange(request: Any = None, response: Any = None, **changes: Any) -> Exchange:
    """A complete exchange; bodies are JSON values, or bytes as they are."""
    bodies = [body if isinstance(body, bytes) else orjson.dumps(body) for body in (request, response)]
    fields: dict[str, Any] = {
        "prediction_id": "0191",
        "model": "m",
        "method": "POST",
        "path": "/score",
        "started_ns": 1_000,
        "first_byte_ns": 2_000,
        "ended_ns": 3_000,
        "status": 200,
        "end": End.COMPLETE,
        "error_type": "",
        "request_headers": ((b"content-type", b"application/json"),),
        "request_body": (bodies[0],),
        "request_bytes": len(bodies[0]),
        "response_headers": ((b"content-type", b"application/json; charset=utf-8"),),
        "response_body": (bodies[1],),
        "response_bytes": len(bodies[1]),
        "trace_id": 0,
        "span_id": 0,
        "trace_sampled": False,
        "annotations": (),
    }
    return Exchange(**{**fields, **changes})


@pytest.fixture(name="exchange", scope="session")
def _exchange() -> Callable[..., Exchange]:
    return exchange
