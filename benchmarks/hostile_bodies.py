"""What bodies made to be expensive cost, milliseconds of one processor: ``python benchmarks/hostile_bodies.py``.

Every decoder reads every kind of body on both sides, at 256 KiB, 512 KiB and 1 MiB. Printed are the most expensive of
each decoder and how the cost grows when the body doubles: 2 is linear. It fails where a mebibyte costs a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.options import DEFAULT_MAX_ROWS, DecodeOptions
from mlmon_sidecar.decode.sides import Direction, RequestRows, Side
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import End, Exchange

SIZES = (1 << 18, 1 << 19, 1 << 20)
LIMIT_MS = 1000.0
SHOWN = 3  # kinds for each decoder
ROUNDS = 2
MEDIA_TYPES = {"csv": b"text/csv", "json_lines": b"application/jsonlines", "form": b"application/x-www-form-urlencoded",
               "multipart": b"multipart/form-data; boundary=x"}  # fmt: skip


def repeated(unit: bytes, start: bytes = b"", end: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def numbered(unit: bytes, start: bytes = b"", end: bytes = b"", between: bytes = b",") -> Callable[[int], bytes]:
    """``unit`` once for each number that fits; %d in it is the number."""

    def make(size: int) -> bytes:
        each = len(unit.replace(b"%d", b"123456")) + len(between)
        return start + between.join(unit.replace(b"%d", b"%d" % at) for at in range(size // each)) + end

    return make


KINDS: dict[str, Callable[[int], bytes]] = {
    "opening brackets": repeated(b"["),
    "opening objects": repeated(b'{"a":'),
    "digits": repeated(b"9"),
    "quotes": repeated(b'"'),
    "backslashes": repeated(b"\\\\", b'"', b'"'),
    "half surrogates": repeated(b"\\ud800", b'{"a":"', b'"}'),
    "zeros": repeated(b"\0"),
    "no UTF-8": repeated(b"\xff"),
    "commas": repeated(b","),
    "line ends": repeated(b"\n"),
    "numbers": repeated(b"1,", b"[", b"1]"),
    "not numbers": repeated(b"NaN,", b"[", b"NaN]"),
    "beyond a double": repeated(b"1e999,", b"[", b"1]"),
    "empty rows": repeated(b"{},", b"[", b"{}]"),
    "empty lists": repeated(b"[],", b'{"instances":[', b"[]]}"),
    "pairs": repeated(b"[0.5,0.5],", b'{"predictions":[', b"[0.5,0.5]]}"),
    "same member": repeated(b'"k":1,', b"{", b'"k":1}'),
    "members": numbered(b'"k%d":1', b"{", b"}"),
    "rows without a common member": numbered(b'{"k%d":1,"l%d":2}', b"[", b"]"),
    "nested rows": numbered(b'{"a":[{"b":[1,{"k%d":2}]}]}', b"[", b"]"),
    "tensors": numbered(b'{"name":"t%d","shape":[1],"datatype":"FP32","data":[1]}', b'{"inputs":[', b"]}"),
    "columns": numbered(b'"c%d"', b'{"dataframe_split":{"columns":[', b'],"data":[[1]]}}'),
    "CSV lines": numbered(b"%d,1.5,x", b"a,b,c\n", b"\n", b"\n"),
    "one CSV line": numbered(b"%d"),
    "JSON lines": numbered(b'{"a":%d}', between=b"\n"),
    "form fields": numbered(b"k%d=%41", between=b"&"),
    "parts": numbered(b'--x\r\nContent-Disposition: form-data; name="k%d"\r\n\r\n1', b"", b"\r\n--x--\r\n", b"\r\n"),
    "events": numbered(b'data: {"choices":[{"index":%d,"delta":{"content":"a"}}]}', between=b"\n\n"),
}


def rows_in(exchange: Exchange, options: DecodeOptions) -> int:
    """Rows of the request; 1 where it cannot be read."""
    side = Side.of(exchange, Direction.REQUEST)
    try:
        for claim in Detection(DECODERS).claims(side, options.decoder):
            rows: RequestRows = claim.decoder.request(side, options)
            return rows.count
    except DecodeError:
        pass
    return 1


def exchanges(kind: str, size: int, options: DecodeOptions) -> Iterator[Exchange]:
    """The body as a request with an answer of as many scores, and as an answer."""
    body = KINDS[kind](size)
    (asked,) = exchange_of(options.decoder, [(body, b"")])
    rows = rows_in(asked, options)
    scores = b"0.5\n" * rows if options.decoder in {"csv", "json_lines"} else b"[" + b"0.5," * (rows - 1) + b"0.5]"
    yield from exchange_of(options.decoder, [(body, scores), (b'{"a": 1}', body)])


def exchange_of(decoder: str, pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[Exchange]:
    headers = ((b"content-type", MEDIA_TYPES.get(decoder, b"application/json")),)
    for request, response in pairs:
        yield Exchange(
            "id", "m", "POST", "/score", 1, 2, 3, 200, End.COMPLETE, "", headers, (request,), len(request), headers,
            (response,), len(response), 0, 0, False, (),
        )  # fmt: skip


def cost(kind: str, size: int, options: DecodeOptions) -> float:
    """Milliseconds of the more expensive side."""
    worst = 0.0
    for exchange in exchanges(kind, size, options):
        best = float("inf")
        for _ in range(ROUNDS):
            begun = time.process_time_ns()
            decode([exchange], options, lambda at: at)
            best = min(best, (time.process_time_ns() - begun) / 1e6)
        worst = max(worst, best)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-rows", type=int, default=DEFAULT_MAX_ROWS, help="models.<name>.max_rows")
    said = parser.parse_args()
    most = 0.0
    for decoder in ("auto", *DECODERS):
        options = DecodeOptions("m", version="v", decoder=decoder, max_rows=said.max_rows)
        found = sorted(((cost(kind, SIZES[-1], options), kind) for kind in KINDS), reverse=True)
        print(decoder)
        for worst, kind in found[:SHOWN]:
            half, quarter = cost(kind, SIZES[1], options), cost(kind, SIZES[0], options)
            growth = (worst / quarter) ** 0.5 if quarter else 0.0
            print(f"  {kind:<30} {quarter:8.1f} {half:8.1f} {worst:8.1f} ms   x {growth:.1f} a doubling")
        most = max(most, found[0][0])
    if most >= LIMIT_MS:
        raise SystemExit(f"a mebibyte costs {most:.0f} ms")


if __name__ == "__main__":
    main()
