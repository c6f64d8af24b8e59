"""One exchange to rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.body import body_bytes, header, readable
from mlmon_sidecar.decode.json_predictions import Find
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import NOTHING, Output, class_text, number, read_output
from mlmon_sidecar.decode.said import Said, SaidRow
from mlmon_sidecar.decode.scalars import plain
from mlmon_sidecar.decode.table import DecodedRow, row_weight
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.interfaces import Decoder
from mlmon_sidecar.records import DropReason, End, Exchange
from mlmon_sidecar.selectors import Selector

MAX_NAME_TEXT = 128  # characters of a version, a segment or an alias; the rest is cut
BODILESS_METHODS = frozenset({"HEAD", "OPTIONS"})


class _Side(NamedTuple):
    """A parsed body; not ``present`` when an annotation made it unnecessary and it could not be read."""

    document: object = None
    present: bool = False


def decode_exchange(
    exchange: Exchange, options: DecodeOptions, event_ns: int, skipped: Counter[str]
) -> tuple[str, list[DecodedRow]]:
    """The version and the rows of one exchange. Raises ``DecodeError`` whose code is a ``DropReason``."""
    _expect_prediction(exchange)
    decoder = DECODERS[options.decoder]
    said = Said.of(exchange.annotations, skipped)
    request = _request(exchange, decoder, said)
    response = _response(exchange, decoder, said)

    def find(selector: Selector) -> object:
        if selector.source == "header":
            name = str(selector.steps[0]).encode("latin-1")
            return header(exchange.request_headers, name) or header(exchange.response_headers, name)
        return selector.find((request if selector.source == "request" else response).document)

    rows = decoder.rows(request.document, options, skipped) if request.present else [{}]
    said_rows = said.for_rows(len(rows))
    outputs = _outputs(decoder, response, find, len(rows), options, said)
    return _version(options, find), _decoded(exchange, options, event_ns, find, rows, said_rows, outputs)


def _decoded(
    exchange: Exchange,
    options: DecodeOptions,
    event_ns: int,
    find: Find,
    rows: Sequence[Mapping[str, object]],
    said: Sequence[SaidRow],
    outputs: Sequence[Output],
) -> list[DecodedRow]:
    count = len(rows)
    own_id = exchange.prediction_id
    aliases, segments = _texts(options.id, find, count, numbered=True), _texts(options.segment, find, count)
    id_column = None if options.id is None else options.id.member
    return [
        DecodedRow(
            event_ns=event_ns,
            weight=row_weight(count),
            prediction_id=own_id if count == 1 else f"{own_id}/{at}",
            alias=aliases[at],
            features=_features(rows[at], said[at].features, id_column),
            output=_with_said(outputs[at], said[at], options),
            segment=segments[at] if said[at].segment is None else said[at].segment,
            trace=(exchange.trace_id, exchange.span_id),
            exemplar=0 < options.slow_ns <= exchange.ended_ns - exchange.started_ns,
        )
        for at in range(count)
    ]


def _expect_prediction(exchange: Exchange) -> None:
    if exchange.end is End.ERROR:
        raise DecodeError("the application raised", code=DropReason.APPLICATION_ERROR)
    if exchange.end is End.DISCONNECT:
        raise DecodeError("the client went away", code=DropReason.BODY_CUT_OFF)
    if exchange.status == 0:
        raise DecodeError("the application did not answer", code=DropReason.APPLICATION_ERROR)
    if not 200 <= exchange.status < 300 or exchange.method in BODILESS_METHODS:
        raise DecodeError("the answer is not a prediction", code=DropReason.NOT_A_PREDICTION)


def _request(exchange: Exchange, decoder: Decoder, said: Said) -> _Side:
    needless = not exchange.request_bytes or not readable(exchange.request_headers, decoder.media_types)
    if needless and said.has_features:
        return _Side()
    return _side(exchange.request_headers, exchange.request_body, exchange.request_bytes, decoder)


def _response(exchange: Exchange, decoder: Decoder, said: Said) -> _Side:
    try:
        return _side(exchange.response_headers, exchange.response_body, exchange.response_bytes, decoder)
    except DecodeError:
        if said.has_prediction:
            return _Side()
        raise


def _side(headers: Sequence[tuple[bytes, bytes]], chunks: Sequence[bytes], length: int, decoder: Decoder) -> _Side:
    if not readable(headers, decoder.media_types):
        raise DecodeError("the body is of another media type", code=DropReason.UNSUPPORTED_MEDIA_TYPE)
    return _Side(decoder.parse(body_bytes(chunks, length, headers)), True)


def _outputs(
    decoder: Decoder, response: _Side, find: Find, count: int, options: DecodeOptions, said: Said
) -> Sequence[Output]:
    try:
        return decoder.predictions(response.document, find, count, options)
    except DecodeError:
        if said.has_prediction:
            return [NOTHING] * count
        raise


def _with_said(output: Output, said: SaidRow, options: DecodeOptions) -> Output:
    if said.prediction is not None:
        output = read_output(said.prediction, options)
    if said.confidence is not None:
        output = output._replace(confidence=number(plain(said.confidence)))
    return output


def _features(row: Mapping[str, object], said: Mapping[str, object], id_column: str | None) -> Mapping[str, object]:
    if id_column in row:
        row = {name: value for name, value in row.items() if name != id_column}
    return {**row, **said} if said else row


def _version(options: DecodeOptions, find: Find) -> str:
    found = find(options.version) if isinstance(options.version, Selector) else None
    first = found[0] if isinstance(found, list) and found else found
    return (class_text(first) or options.constant_version)[:MAX_NAME_TEXT]


def _texts(selector: Selector | None, find: Find, count: int, *, numbered: bool = False) -> Sequence[str | None]:
    """One text a row. A single value is every row's; ``numbered``, it gets the row's number as a suffix."""
    found = None if selector is None else find(selector)
    if isinstance(found, list):
        texts = [class_text(item) for item in found[:count]]
        return [text and text[:MAX_NAME_TEXT] for text in texts] + [None] * (count - len(texts))
    text = (class_text(found) or "")[:MAX_NAME_TEXT]
    if not text:
        return [None] * count
    return [f"{text}/{at}" for at in range(count)] if numbered and count > 1 else [text] * count
