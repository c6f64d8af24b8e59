"""One exchange to rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mlmon_sidecar.decode import DECODERS, generates
from mlmon_sidecar.decode.body import header
from mlmon_sidecar.decode.columns import BAD_ROW, WRONG_WIDTH
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.event_stream import is_event_stream
from mlmon_sidecar.decode.generation import finished, generation_columns, unfinished
from mlmon_sidecar.decode.json_predictions import selected
from mlmon_sidecar.decode.json_rows import request_rows
from mlmon_sidecar.decode.naming import Find, aliases_of, segments_of, version_of
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.said import SILENT, Said, SaidRow, with_said
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side
from mlmon_sidecar.decode.table import DecodedRows, is_exemplar, row_weight
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.interfaces import Decoder
from mlmon_sidecar.records import DropReason, End, Exchange, Generated
from mlmon_sidecar.selectors import Selector

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column

BODILESS_METHODS = frozenset({"HEAD", "OPTIONS"})
DETECTION = Detection(DECODERS)

Read = TypeVar("Read", RequestRows, Answers)


def detection() -> Detection:
    """Which protocol bodies are in, as far as they were seen."""
    return DETECTION


class Result(NamedTuple):
    """What one exchange became."""

    version: str
    rows: DecodedRows
    generated: Generated | None = None


def decode_exchange(
    exchange: Exchange, options: DecodeOptions, event_ns: int, skipped: Counter[str], *, answered: bool = True
) -> Result:
    """The version and the rows of one exchange; rows without predictions where it is not ``answered``.

    Raises ``DecodeError`` whose code is a ``DropReason``.
    """
    fault = _fault(exchange)
    if fault is not None:
        raise _with_figures(exchange, options, fault)
    said = Said.of(exchange.annotations, skipped) if exchange.annotations else SILENT
    request = _request(exchange, options, said)
    if request.width and options.feature_names and request.width != len(options.feature_names):
        skipped[WRONG_WIDTH] += request.count - len(request.bad)
    answers = _response(exchange, options, said, request.count) if answered else _unanswered(request.count)
    generation = None
    added = answers.columns
    if answers.generation is not None:
        generation = finished(exchange, request.generation, answers.generation)
        added = {**added, **generation_columns(generation, request.count, options.text)}

    def find(selector: Selector) -> object:
        if selector.source == "header":
            name = str(selector.steps[0]).encode("latin-1")
            return header(exchange.request_headers, name) or header(exchange.response_headers, name)
        return selector.find((request if selector.source == "request" else answers).document)

    said_rows = said.for_rows(request.count)
    outputs = _outputs(answers, find, request.count, options, said)
    if said_rows:
        outputs = with_said(outputs, said_rows, options)
    version = version_of(exchange, options, find, request, answers)
    names = (
        aliases_of(exchange, options, find, request, answers, skipped),
        segments_of(options, find, request.count),
    )
    rows = _rows(exchange, options, event_ns, request, outputs, said_rows, names, added)
    if request.bad:
        skipped[BAD_ROW] += len(request.bad)
        rows = _without(rows, request.bad)
    return Result(version, rows, None if generation is None else Generated(exchange.prediction_id, version, generation))


def _fault(exchange: Exchange) -> DecodeError | None:
    """Why the exchange cannot be a prediction, whatever its bodies say; None where it can."""
    if exchange.end is End.ERROR:
        return DecodeError("the application raised", code=DropReason.APPLICATION_ERROR)
    if exchange.end is End.DISCONNECT:
        return DecodeError("the client went away", code=DropReason.BODY_CUT_OFF)
    if exchange.status == 0:
        return DecodeError("the application did not answer", code=DropReason.APPLICATION_ERROR)
    if not 200 <= exchange.status < 300 or exchange.method in BODILESS_METHODS:
        return DecodeError("the answer is not a prediction", code=DropReason.NOT_A_PREDICTION)
    return None


def _with_figures(exchange: Exchange, options: DecodeOptions, fault: DecodeError) -> DecodeError:
    """The fault, and what a language model did until then where one was at work."""
    streamed = is_event_stream(exchange)
    if exchange.method in BODILESS_METHODS or not (streamed or generates(exchange.path, options.decoder)):
        return fault
    asked = told = None
    with suppress(DecodeError):
        asked = _request(exchange, options, SILENT).generation
    if streamed:
        with suppress(DecodeError):
            told = _response(exchange, options, SILENT, 1).generation
    return fault if asked is None and told is None else unfinished(exchange, fault, asked, told)


def _request(exchange: Exchange, options: DecodeOptions, said: Said) -> RequestRows:
    """The request's rows; one empty row where the handler said the features and the body is none of ours."""
    if said.has_features and not exchange.request_bytes:
        return RequestRows(1)
    try:
        side = Side.of(exchange, Direction.REQUEST)
        rows: RequestRows | None = _read(
            side, options, lambda decoder: decoder.request(side, options), options.features is not None
        )
    except DecodeError as error:
        if said.has_features and error.code == DropReason.UNSUPPORTED_MEDIA_TYPE:
            return RequestRows(1)
        raise
    if rows is None:
        return request_rows(side.json(), options)
    if options.features is not None and rows.document is not None:
        chosen = request_rows(rows.document, options)
        return replace(chosen, aliases=rows.aliases, model=rows.model, version=rows.version, generation=rows.generation)
    return rows


def _response(exchange: Exchange, options: DecodeOptions, said: Said, count: int) -> Answers:
    try:
        side = Side.of(exchange, Direction.RESPONSE)
        answers: Answers | None = _read(
            side, options, lambda decoder: decoder.response(side, options, count), options.selects_outputs
        )
    except DecodeError:
        if said.has_prediction:
            return Answers(None)
        raise
    return answers or Answers(None, document=side.json())


def _unanswered(count: int) -> Answers:
    return Answers(Outputs([nan] * count, [None] * count, [nan] * count))


def _read(side: Side, options: DecodeOptions, read: Callable[[Decoder], Read], by_selectors: bool) -> Read | None:
    """What the first decoder that can read the body makes of it. None: none can, but selectors can walk it."""
    fault: DecodeError | None = None
    for claim in DETECTION.claims(side, options.decoder):
        try:
            return read(claim.decoder)
        except DecodeError as error:
            fault = fault or error
    if by_selectors and side.is_json:
        return None
    assert fault is not None
    raise fault


def _outputs(answers: Answers, find: Find, count: int, options: DecodeOptions, said: Said) -> Outputs:
    try:
        outputs = selected(find, count, options) if options.selects_outputs else answers.outputs
        if outputs is not None and len(outputs) != count:
            raise DecodeError("rows and predictions differ in number", code=DropReason.ROW_MISMATCH)
        if outputs is None:
            raise DecodeError(
                "the answer holds no prediction",
                code=DropReason.WRONG_SHAPE,
                hint="Set models.<name>.prediction.score or .predicted, as in 'response.score'.",
            )
    except DecodeError:
        if said.has_prediction:
            return Outputs([nan] * count, [None] * count, [nan] * count)
        raise
    return outputs


def _rows(
    exchange: Exchange,
    options: DecodeOptions,
    event_ns: int,
    request: RequestRows,
    outputs: Outputs,
    said: Sequence[SaidRow],
    names: tuple[Sequence[str | None], Sequence[str | None]],
    added: Mapping[str, Column],
) -> DecodedRows:
    count, own_id = request.count, exchange.prediction_id
    records, columns = _features(request, options.feature_names, said, added)
    aliases, segments = names
    return DecodedRows(
        event_ns=[event_ns] * count,
        weight=[row_weight(count)] * count,
        prediction_ids=[own_id] if count == 1 else list(map(f"{own_id}/".__add__, _numbers(count))),
        aliases=aliases,
        records=records,
        columns=columns,
        outputs=outputs,
        segments=[row.segment or found for row, found in zip(said, segments, strict=True)] if said else segments,
        traces=[(exchange.trace_id, exchange.span_id)] * count,
        exemplar=[is_exemplar(exchange, options)] * count,
    )


@lru_cache(maxsize=32)
def _numbers(count: int) -> Sequence[str]:
    return tuple(map(str, range(count)))


def _features(
    request: RequestRows, names: Sequence[str], said: Sequence[SaidRow], added: Mapping[str, Column]
) -> tuple[Sequence[Mapping[str, object]], Mapping[str, Column]]:
    """Records or columns. What the answer ``added`` extends them; what the handler said extends and replaces all."""
    if request.records:
        if not said and not added:
            return request.records, {}
        records = [
            {**record, **{name: column[at] for name, column in added.items()}}
            for at, record in enumerate(request.records)
        ]
        return [{**record, **row.features} for record, row in zip(records, said, strict=True)] if said else records, {}
    columns = dict(request.columns)
    if request.positional:
        columns = {names[at] if at < len(names) else name: columns[name] for at, name in enumerate(columns)}
    columns |= added
    for name in dict.fromkeys(name for row in said for name in row.features):
        found = columns.get(name, [None] * request.count)
        columns[name] = [row.features.get(name, old) for row, old in zip(said, found, strict=True)]
    return (), columns


def _without(rows: DecodedRows, bad: Collection[int]) -> DecodedRows:
    """The rows that can be read. Raises ``DecodeError`` (``wrong_shape``) where there is none."""
    keep = [at for at in range(len(rows.prediction_ids)) if at not in bad]
    if not keep:
        raise DecodeError("no row can be read", code=DropReason.WRONG_SHAPE)
    score, predicted, confidence = rows.outputs.score, rows.outputs.predicted, rows.outputs.confidence
    return rows._replace(
        event_ns=rows.event_ns[: len(keep)],  # these four are the same in every row
        weight=rows.weight[: len(keep)],
        traces=rows.traces[: len(keep)],
        exemplar=rows.exemplar[: len(keep)],
        prediction_ids=[rows.prediction_ids[at] for at in keep],
        aliases=[rows.aliases[at] for at in keep],
        records=[rows.records[at] for at in keep] if rows.records else (),
        columns={name: [column[at] for at in keep] for name, column in rows.columns.items()},
        outputs=Outputs([score[at] for at in keep], [predicted[at] for at in keep], [confidence[at] for at in keep]),
        segments=[rows.segments[at] for at in keep],
    )
