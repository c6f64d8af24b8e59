"""Coverage-guided fuzzing of the decoders that take bytes apart. Needs: pip install atheris (beside this project).

Run: python scripts/fuzz_decoders.py [libFuzzer options, such as -max_total_time=60]. The recorded exchanges are the
seeds. Whatever a decoder raises except ``DecodeError``, and columns of another length than the rows, stop the run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mlmon_sidecar.decode"]):
    from mlmon_sidecar.decode import DECODERS
    from mlmon_sidecar.decode.options import DecodeOptions
    from mlmon_sidecar.decode.sides import Direction, Side
    from mlmon_sidecar.errors import DecodeError
    from mlmon_sidecar.records import End, Exchange

FIXTURES = Path(__file__).parents[1] / "tests" / "decode" / "fixtures"
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


def one_input(data: bytes) -> None:
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


def exchange(body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> Exchange:
    kept, size = (body,), len(body)
    return Exchange(
        "1", "m", "POST", "/v2/models/m/infer", 1, 2, 3, 200, End.COMPLETE, "",
        headers, kept, size, headers, kept, size, 0, 0, False, (),
    )  # fmt: skip


def seeds(folder: Path) -> None:
    for path in FIXTURES.glob("open_inference/*.bin"):
        body = path.read_bytes()
        head = body.rfind(b"}]}") + 3 if path.stem.endswith("response") else body.rfind(b"}") + 1
        side = 128 + 4 if path.stem.endswith("response") else 0  # 132 is a multiple of the number of targets
        (folder / path.name).write_bytes(bytes([side]) + head.to_bytes(2, "little") + body)
    for at, body in ((2, next(FIXTURES.glob("bentoml/multipart.request.bin"), None)),):
        if body is not None:
            (folder / "multipart").write_bytes(bytes([at, 0, 0]) + body.read_bytes())
    (folder / "csv").write_bytes(bytes([3, 0, 0]) + b'amount,country\n1.5,"Berlin, DE"\n,FR\n')
    (folder / "lines").write_bytes(bytes([4, 0, 0]) + b'{"a": [1, 2]}\n{"a": null}\n')
    (folder / "form").write_bytes(bytes([5, 0, 0]) + b"a=1&b=%C3%A3&b=x+y")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        atheris.Setup([sys.argv[0], corpus, *sys.argv[1:]], one_input)
        atheris.Fuzz()
