"""Coverage-guided fuzzing of the decoders that take bytes apart. Needs: pip install atheris (beside this project).

Run: python scripts/fuzz_decoders.py [libFuzzer options, such as -max_total_time=60]. The recorded exchanges are the
seeds. Whatever a decoder raises except ``DecodeError``, columns of another length than the rows, and an event stream
that reads differently when it is cut elsewhere, stop the run. MLMON_FUZZ=streams fuzzes event streams, which cost much
more than bodies.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mlmon_sidecar.decode"]):
    from mlmon_sidecar.decode import DECODERS
    from mlmon_sidecar.decode.exchange import decode_exchange
    from mlmon_sidecar.decode.options import DecodeOptions
    from mlmon_sidecar.decode.sides import Direction, Side
    from mlmon_sidecar.decode.sse import SseParser
    from mlmon_sidecar.errors import DecodeError
    from mlmon_sidecar.records import End, Exchange

FIXTURES = Path(__file__).parents[1] / "tests" / "decode" / "fixtures"
LLM_FIXTURES = FIXTURES.with_name("llm_fixtures")
OPTIONS = DecodeOptions("m", max_rows=100)
LENGTH = b"inference-header-content-length"
TARGETS = (
    ("open_inference", b"application/octet-stream"),
    ("npy", b"application/x-npy"),
    ("multipart", b"multipart/form-data; boundary=bento-frontier"),
    ("csv", b"text/csv"),
    ("json_lines", b"application/jsonlines"),
    ("form", b"application/x-www-form-urlencoded"),
)
STREAMS = (
    ("openai_chat", "/v1/chat/completions"),
    ("openai_completions", "/v1/completions"),
    ("openai_responses", "/v1/responses"),
    ("tgi", "/generate_stream"),
)
STREAM = (b"content-type", b"text/event-stream")
ASKED = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"prompt":"Hi","input":"Hi","inputs":"Hi"}'
SMALL_EVENT = 256  # bytes, so that events too large are reached


def one_stream(data: bytes) -> None:
    """First byte: the dialect and where chunks end; the rest is the stream."""
    if not data:
        return
    dialect, path = STREAMS[data[0] % len(STREAMS)]
    size, body = 1 + data[0] // len(STREAMS), data[1:]
    chunks = tuple(body[at : at + size] for at in range(0, len(body), size))
    assert events_of((body,)) == events_of(chunks)
    made = exchange(body, (STREAM,), path)._replace(
        request_headers=(), request_body=(ASKED,), request_bytes=len(ASKED), response_body=chunks
    )
    whole, cut = read_stream(made._replace(response_body=(body,))), read_stream(made)
    assert whole == cut, dialect


def events_of(chunks: tuple[bytes, ...]) -> list[tuple[str, bytes, str]]:
    parser = SseParser(SMALL_EVENT)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    last = parser.finish()
    return [event[:3] for event in ([*events, last] if last else events)]


def read_stream(made: Exchange) -> object:
    """What the stream becomes, without times; the reason where it is refused."""
    try:
        result = decode_exchange(made, OPTIONS, 0, Counter())
    except DecodeError as error:
        return error.code
    rows = result.rows
    assert len(rows.outputs) == len(rows.prediction_ids) == 1
    return repr((rows.outputs, rows.records, rows.columns, result.version))


def one_body(data: bytes) -> None:
    """First byte: which decoder and which side. Next two: the length of the JSON part of a body with tensors."""
    if len(data) < 3:
        return
    name, media_type = TARGETS[data[0] % len(TARGETS)]
    direction = Direction.REQUEST if data[0] < 128 else Direction.RESPONSE
    length = str(int.from_bytes(data[1:3], "little")).encode()
    headers = ((b"content-type", media_type), (LENGTH, length))
    decoder, side = DECODERS[name], Side.of(exchange(data[3:], headers), direction)
    try:
        if direction is Direction.RESPONSE:
            answers = decoder.response(side, OPTIONS, 2)
            assert answers.outputs is None or len(answers.outputs) == 2
            return
        rows = decoder.request(side, OPTIONS)
    except DecodeError:
        return
    assert all(len(column) == rows.count for column in rows.columns.values())
    assert len(rows.records) in (0, rows.count)


def exchange(body: bytes, headers: tuple[tuple[bytes, bytes], ...], path: str = "/v2/models/m/infer") -> Exchange:
    kept, size = (body,), len(body)
    return Exchange(
        "1", "m", "POST", path, 1, 2, 3, 200, End.COMPLETE, "",
        headers, kept, size, headers, kept, size, 0, 0, False, (),
    )  # fmt: skip


def stream_seeds(folder: Path) -> None:
    for path in LLM_FIXTURES.glob("*_stream.json"):
        recorded = json.loads(path.read_text())
        chunks = [text.encode() for text in recorded.get("chunks_text", ())]
        stream = b"".join(chunks or map(base64.b64decode, recorded["chunks_base64"]))
        at = next((at for at, (_, end) in enumerate(STREAMS) if recorded["path"].endswith(end)), 3)
        (folder / path.stem).write_bytes(bytes([at + len(STREAMS) * 6]) + stream)


def body_seeds(folder: Path) -> None:
    for path in FIXTURES.glob("open_inference/*.bin"):
        body = path.read_bytes()
        answer = path.stem.endswith("response")
        head = body.rfind(b"}]}") + 3 if answer else body.rfind(b"}") + 1
        (folder / path.name).write_bytes(seed(0, head.to_bytes(2, "little") + body, answer=answer))
    form = next(FIXTURES.glob("bentoml/multipart.request.bin"), None)
    if form is not None:
        (folder / "multipart").write_bytes(seed(2, b"\0\0" + form.read_bytes()))
    (folder / "csv").write_bytes(seed(3, b'\0\0amount,country\n1.5,"Berlin, DE"\n,FR\n'))
    (folder / "lines").write_bytes(seed(4, b'\0\0{"a": [1, 2]}\n{"a": null}\n'))
    (folder / "form").write_bytes(seed(5, b"\0\0a=1&b=%C3%A3&b=x+y"))


def seed(target: int, rest: bytes, *, answer: bool = False) -> bytes:
    """132 is a multiple of the number of targets, and an answer's."""
    return bytes([target + (132 if answer else 0)]) + rest


if __name__ == "__main__":
    streams = os.environ.get("MLMON_FUZZ") == "streams"
    with tempfile.TemporaryDirectory() as corpus:
        (stream_seeds if streams else body_seeds)(Path(corpus))
        atheris.Setup([sys.argv[0], corpus, *sys.argv[1:]], one_stream if streams else one_body)
        atheris.Fuzz()
