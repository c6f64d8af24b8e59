"""The stage as a whole, with what holds for every slice of exchanges."""

from collections.abc import Callable

from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import Decoded, Exchange

Make = Callable[..., Exchange]
JSON = (b"content-type", b"application/json")
GOOD = {"score": 0.5}
OPTIONS = DecodeOptions("m", kind="binary")


def unix_at(monotonic_ns: int) -> int:
    return 1_700_000_000_000_000_000 + monotonic_ns


def run(*exchanges: Exchange, options: DecodeOptions = OPTIONS) -> Decoded:
    decoded = decode(exchanges, options, unix_at)
    assert decoded.exchanges + sum(decoded.dropped.values()) == len(exchanges)
    ids = {name.partition("/")[0] for batch in decoded.batches for name in batch.prediction_ids}
    assert decoded.exchanges == len(ids)
    for batch in decoded.batches:
        columns = [*batch.features.values(), batch.event_ns, batch.weight, batch.aliases, batch.score, batch.predicted]
        columns += [batch.confidence, batch.segments, batch.traces, batch.exemplar]
        assert {len(column) for column in columns} == {batch.rows}
    return decoded
