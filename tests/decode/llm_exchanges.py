"""Recorded and hand-written answers of language models as exchanges."""

import base64
import json
from pathlib import Path
from typing import Any

from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import Decoded, End, Exchange, Generation

FOLDER = Path(__file__).parent / "llm_fixtures"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
TIMED_CHUNKS = 8  # as capture keeps them
STARTED_NS = 5_000_000_000
MS = 1_000_000


def fixture(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def chunks_of(found: dict[str, Any]) -> tuple[bytes, ...]:
    if "chunks_text" in found:
        return tuple(text.encode() for text in found["chunks_text"])
    return tuple(base64.b64decode(chunk) for chunk in found["chunks_base64"])


def exchange_of(name: str, **changes: Any) -> Exchange:
    """The exchange as capture would hand it over, its last message at the last chunk's time."""
    found = fixture(name)
    return stream_exchange(
        chunks_of(found),
        found["chunks_ms"],
        **{
            "path": found["path"],
            "request_body": (json.dumps(found["request"]).encode(),),
            "response_headers": tuple((key.encode(), value.encode()) for key, value in found["headers"].items()),
            "status": found["status"],
            **changes,
        },
    )


def stream_exchange(chunks: tuple[bytes, ...], times_ms: list[float], **changes: Any) -> Exchange:
    request = changes.get("request_body", (b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}',))
    times = [STARTED_NS + round(at * MS) for at in times_ms]
    fields: dict[str, Any] = {
        "prediction_id": "0191",
        "model": "m",
        "method": "POST",
        "path": "/v1/chat/completions",
        "started_ns": STARTED_NS,
        "first_byte_ns": times[0] if times else 0,
        "ended_ns": times[-1] if times else STARTED_NS,
        "status": 200,
        "end": End.COMPLETE,
        "error_type": "",
        "request_headers": ((b"content-type", b"application/json"),),
        "request_body": request,
        "request_bytes": sum(map(len, request)),
        "response_headers": ((b"content-type", b"text/event-stream"),),
        "response_body": chunks,
        "response_bytes": sum(map(len, chunks)),
        "trace_id": 0,
        "span_id": 0,
        "trace_sampled": False,
        "annotations": (),
        "chunk_ns": tuple(times[:TIMED_CHUNKS]),
        "response_chunks": len(chunks),
        "response_tail": (),
    }
    return Exchange(**{**fields, **changes})


def run(*exchanges: Exchange, **options: Any) -> Decoded:
    return decode(exchanges, DecodeOptions(name="m", **options), lambda monotonic: monotonic)


def generation(exchange: Exchange, **options: Any) -> Generation:
    decoded = run(exchange, **options)
    (generated,) = decoded.generations
    return generated.generation


def row(exchange: Exchange, **options: Any) -> dict[str, object]:
    """The one row's features."""
    (batch,) = run(exchange, **options).batches
    assert batch.rows == 1
    return {name: column[0] for name, column in batch.features.items()}
