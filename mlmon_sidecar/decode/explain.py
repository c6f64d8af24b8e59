"""How one exchange is read, step by step, for people: which protocol and why, what it becomes, or why it is dropped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.body import content_type
from mlmon_sidecar.decode.columns import WRONG_WIDTH
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.exchange import Result, decode_exchange
from mlmon_sidecar.decode.generation import Unfinished
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Direction, Side
from mlmon_sidecar.decode.table import Table
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason, Exchange, Generation, PredictionBatch

BOTH = "exchange"  # where neither side alone is at fault
HINTS: Mapping[str, str] = {
    DropReason.NOT_JSON: "Correct the body at that byte, or give its content type if it is no JSON.",
    DropReason.MALFORMED: "Give the right content type, or name the protocol with models.<name>.decoder.",
    DropReason.WRONG_SHAPE: "Set models.<name>.features for the rows, prediction.predicted or .score for the answer.",
    DropReason.ROW_MISMATCH: "Point prediction.predicted or .score at a list of one item a row.",
    DropReason.BODY_TOO_LARGE: "Raise max_body_bytes or models.<name>.max_rows.",
    DropReason.UNSUPPORTED_ENCODING: "Only complete gzip and deflate bodies are inflated.",
    DropReason.UNSUPPORTED_MEDIA_TYPE: "Give its content type, or name the protocol with models.<name>.decoder.",
    DropReason.NOT_A_PREDICTION: "Only answers with a 2xx status, to methods other than HEAD and OPTIONS, are one.",
    DropReason.APPLICATION_ERROR: "The answer reports an error, or its stream ends before it says that it is done.",
    DropReason.INTERNAL_ERROR: "This is a fault of mlmon's; please report the form of the body, not its content.",
}
"""What to do about an exchange that is dropped, where the error itself does not say."""


class Found(NamedTuple):
    """What was found out about one side."""

    protocol: str  # a key in ``DECODERS``; "" where none reads it
    reason: str
    media_type: str
    size: int  # bytes


class Fault(NamedTuple):
    """Why the exchange is dropped."""

    side: str  # "request", "response", or "exchange"
    code: str  # a ``DropReason``
    message: str
    hint: str
    at_byte: int  # of the inflated body; -1 where there is no place


@dataclass(frozen=True, slots=True)
class Explained:
    """Of one exchange.

    Attributes:
        request, response: None for a response that is not there.
        fault: None where it becomes rows.
        version: "" with a fault.
        batches: its rows, raw; predictions only where there is a response.
        skipped: values and rows left out, by the cap or rule they met.
        wrong_width: rows with more or fewer nameless values than names are expected.
        repeated: names that occur more than once in an object of the request or the response.
        generation: of a language model, failed ones included.
    """

    request: Found
    response: Found | None
    fault: Fault | None = None
    version: str = ""
    batches: Sequence[PredictionBatch] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    wrong_width: int = 0
    repeated: int = 0
    generation: Generation | None = None


class ColumnKind(NamedTuple):
    """What is in a column."""

    name: str
    type: str  # boolean, integer, number, text; "mixed: ..." of these; "empty"
    missing: int  # rows without a value, NaN included


def explain(exchange: Exchange, options: DecodeOptions, *, answered: bool) -> Explained:
    """Read one exchange as the recorder would. Never raises on what it holds."""
    request = _found(exchange, options, Direction.REQUEST)
    response = _found(exchange, options, Direction.RESPONSE) if answered else None
    repeated = _repeated(exchange, Direction.REQUEST) + (_repeated(exchange, Direction.RESPONSE) if answered else 0)
    explained = Explained(request, response, repeated=repeated)
    asks_only = replace(options, score=None, predicted=None, confidence=None)
    skipped: Counter[str] = Counter()
    try:
        result = _decoded(exchange, asks_only, skipped, answered=False)
    except DecodeError as error:
        return replace(explained, fault=_fault(error, Direction.REQUEST), generation=_unfinished(error))
    if answered:
        skipped.clear()
        try:
            result = _decoded(exchange, options, skipped, answered=True)
        except DecodeError as error:
            side = BOTH if error.code == DropReason.ROW_MISMATCH else Direction.RESPONSE
            return replace(explained, fault=_fault(error, side), generation=_unfinished(error))
    wrong_width = skipped.pop(WRONG_WIDTH, 0)
    table = Table()
    table.add(result.rows)
    batches = [batch for batch in table.batches(result.version, options, skipped) if batch is not None]
    return replace(
        explained,
        version=result.version,
        batches=batches,
        skipped=dict(skipped),
        wrong_width=wrong_width,
        generation=result.generated.generation if result.generated else None,
    )


def column_kinds(batches: Iterable[PredictionBatch]) -> list[ColumnKind]:
    """The columns in the order in which they came."""
    kinds: dict[str, Counter[str]] = {}
    rows = 0
    for batch in batches:
        rows += batch.rows
        for name, column in batch.features.items():
            kinds.setdefault(name, Counter()).update(map(_kind, column))
    found = []
    for name, counts in kinds.items():
        present = {kind: count for kind, count in counts.items() if kind}
        found.append(ColumnKind(name, _named(set(present)), rows - sum(present.values())))
    return found


def _decoded(exchange: Exchange, options: DecodeOptions, skipped: Counter[str], *, answered: bool) -> Result:
    try:
        return decode_exchange(exchange, options, exchange.started_ns, skipped, answered=answered)
    except DecodeError:
        raise
    except Exception as error:  # what the recorder counts as this, too
        message = f"{type(error).__name__} inside the decoder"
        raise DecodeError(message, code=DropReason.INTERNAL_ERROR) from None


def _found(exchange: Exchange, options: DecodeOptions, direction: Direction) -> Found:
    asked = direction is Direction.REQUEST
    media_type, _ = content_type(exchange.request_headers if asked else exchange.response_headers)
    size = exchange.request_bytes if asked else exchange.response_bytes
    try:
        claim = next(iter(Detection(DECODERS).claims(Side.of(exchange, direction), options.decoder)))
    except DecodeError as error:
        return Found("", str(error.args[0]), media_type, size)
    return Found(claim.decoder.name, claim.reason, media_type, size)


def _fault(error: DecodeError, side: str) -> Fault:
    message = str(error.args[0])
    return Fault(str(side), error.code, message, error.hint or HINTS.get(error.code, ""), error.at_byte)


def _unfinished(error: DecodeError) -> Generation | None:
    return error.generation if isinstance(error, Unfinished) else None


def _repeated(exchange: Exchange, direction: Direction) -> int:
    """Names that an object has twice: the parser that serves keeps the last and says nothing."""
    found = 0

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal found
        one = dict(pairs)
        found += len(pairs) - len(one)
        return one

    try:
        json.loads(Side.of(exchange, direction).text(), object_pairs_hook=members)
    except (DecodeError, ValueError, RecursionError):
        return 0
    return found


def _kind(value: object) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else "text"


def _named(kinds: set[str]) -> str:
    if not kinds:
        return "empty"
    if kinds == {"integer", "number"}:
        return "number"
    return next(iter(kinds)) if len(kinds) == 1 else f"mixed: {', '.join(sorted(kinds))}"
