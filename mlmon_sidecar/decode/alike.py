"""Single-row JSON exchanges, many at once: one look at each, and everything else by columns.

Most traffic of most models is one object in and one prediction out. What ``exchange.py`` works out for each of these
alone is worked out here for a run of them together, with the same result. An exchange that is anything else, or that
only a second look can judge, is left to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, compress
from operator import itemgetter
from typing import NamedTuple

import orjson

from mlmon_sidecar.decode.body import MAX_CONTENT_TYPE, Headers, content_type, header
from mlmon_sidecar.decode.columns import FLAT_TYPES
from mlmon_sidecar.decode.detect import AUTO, Detection
from mlmon_sidecar.decode.json_decoder import MEDIA_TYPES, JsonDecoder
from mlmon_sidecar.decode.json_predictions import alone, parts_alike, parts_of_one
from mlmon_sidecar.decode.json_rows import found_in
from mlmon_sidecar.decode.json_text import PLAIN_CHARSETS
from mlmon_sidecar.decode.naming import (
    alias_in_headers,
    aliases_found,
    segments_found,
    version_found,
    version_in_path,
)
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.output_columns import together
from mlmon_sidecar.decode.outputs import CLASS_NAME_KEYS
from mlmon_sidecar.decode.sides import Direction, Outputs
from mlmon_sidecar.decode.table import DecodedRows, is_exemplar, row_weight
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.selectors import ALIAS_HEADERS, Selector

LONGEST = 8_192  # bytes of both bodies that are parsed here: one with more is mostly a batch of rows
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_CLASS_NAMES = frozenset(CLASS_NAME_KEYS)
_JSON = JsonDecoder.name
_WITH_ANSWERS = frozenset({"POST", "PUT", "PATCH", "GET"})
_WEIGHT = row_weight(1)
_NAMES_OF_ALIASES = frozenset(ALIAS_HEADERS)

_at = Exchange._fields.index  # a field of many exchanges at once costs a third of an attribute of each
_ID, _PATH, _STARTED = itemgetter(_at("prediction_id")), itemgetter(_at("path")), itemgetter(_at("started_ns"))
_REQUEST_HEADERS, _TRACE = itemgetter(_at("request_headers")), itemgetter(_at("trace_id"), _at("span_id"))
_SHAPE = itemgetter(*map(_at, (
    "method", "status", "end", "request_body", "request_bytes", "response_body", "response_bytes", "annotations",
)))  # fmt: skip
_name = itemgetter(0)  # of a header

Part = tuple[object, object, object]
"""What an answer holds: a prediction, a score, a confidence; None for each that is not there."""

_NO_PART: Part = (None, None, None)


class Members(NamedTuple):
    """The exchanges of a run, column by column."""

    exchanges: list[Exchange]
    requests: list[object]  # their bodies
    responses: list[object]
    records: list[Mapping[str, object]]  # the row in each

    def chosen(self, selectors: Sequence[bool]) -> Members:
        return Members(*(list(compress(column, selectors)) for column in self))  # type: ignore[arg-type]


class Lot(NamedTuple):
    """What a run became."""

    rows: Mapping[str, DecodedRows]  # by version, in order of first sight
    left: Sequence[Exchange]  # these have no prediction, or one that has to be looked for


class Run:
    """Exchanges of one slice and model that are alike, in their order."""

    def __init__(self, options: DecodeOptions, detection: Detection) -> None:
        self._options = options
        self._detection = detection
        self._able = options.decoder in (AUTO, _JSON)
        self._asked = options.decoder == _JSON  # by name: nothing is detected
        self._refused: set[str] = set()  # paths where parsing was for nothing
        self._forms: list[tuple[str, ...]] = [(), ()]  # of the last answer and the last request
        self._types: list[tuple[Headers, str]] = [((), ""), ((), "")]  # of those bodies
        self._members = Members([], [], [], [])

    def __len__(self) -> int:
        return len(self._members.exchanges)

    def take(self, exchange: Exchange) -> bool:
        """Whether the exchange is one of them; then it is in the run."""
        path = exchange.path
        if not self._able or not _is_whole(exchange) or path in self._refused:
            return False
        request_type = self._json_type(_REQUEST, exchange.request_headers)
        response_type = request_type and self._json_type(_RESPONSE, exchange.response_headers)
        if not response_type:
            return False
        try:
            request, response = orjson.loads(exchange.request_body[0]), orjson.loads(exchange.response_body[0])
        except orjson.JSONDecodeError:
            return False
        form = _form(path, request_type, request)
        whole = form is not None and self._options.features is None  # nothing in a flat object is opened
        record = request if whole else found_in(request, self._options)
        if (
            type(record) is dict
            and (type(response) is not dict or _CLASS_NAMES.isdisjoint(response))
            and self._is_json(_REQUEST, path, request_type, request, form)
            and self._is_json(_RESPONSE, path, response_type, response, _form(path, response_type, response))
        ):
            exchanges, requests, responses, records = self._members
            exchanges.append(exchange)
            requests.append(request)
            responses.append(response)
            records.append(record)
            return True
        self._refused.add(path)
        return False

    def _json_type(self, direction: Direction, headers: Headers) -> str:
        """``_json_type``, remembered: often the headers are those of the body before."""
        known, media_type = self._types[direction is _REQUEST]
        if headers != known or not headers:
            media_type = _json_type(headers)
            self._types[direction is _REQUEST] = headers, media_type
        return media_type

    def _is_json(
        self, direction: Direction, path: str, media_type: str, document: object, form: tuple[str, ...] | None
    ) -> bool:
        """Whether the JSON decoder claims bodies of this form. Mostly the form is that of the body before."""
        if self._asked or (form is not None and form == self._forms[direction is _REQUEST]):
            return True
        decoder = self._detection.remembered(direction, path, media_type, document)
        is_json = decoder is not None and decoder.name == _JSON
        if is_json and form is not None:
            self._forms[direction is _REQUEST] = form
        return is_json

    def close(self, unix_at: Callable[[int], int], skipped: Counter[str]) -> Lot:
        """The rows of the run, which is empty afterwards. ``skipped`` gets what was left out of them."""
        members, self._members = self._members, Members([], [], [], [])
        try:
            return self._lot(members, unix_at, skipped)
        except Exception:  # whatever it was, the usual way finds it too, exchange by exchange
            return Lot({}, members.exchanges)

    def _lot(self, members: Members, unix_at: Callable[[int], int], skipped: Counter[str]) -> Lot:
        outputs = self._outputs(members)
        if outputs is None:
            return Lot({}, members.exchanges)
        speaks = [
            name is not None or score == score for name, score in zip(outputs.predicted, outputs.score, strict=True)
        ]
        left: list[Exchange] = []
        if not all(speaks):
            left = [one for one, said in zip(members.exchanges, speaks, strict=True) if not said]
            members, outputs = members.chosen(speaks), _outputs_of(outputs, speaks)
        versions = self._versions(members)
        rows = self._rows(members, outputs, unix_at, skipped)
        distinct = dict.fromkeys(versions)
        if len(distinct) == 1:
            return Lot({versions[0]: rows}, left)
        return Lot({name: _rows_of(rows, [version == name for version in versions]) for name in distinct}, left)

    def _outputs(self, members: Members) -> Outputs | None:
        """One a member, some of which say nothing; None where all do."""
        options = self._options
        columns: Sequence[Sequence[object]]
        if options.selects_outputs:
            columns = [_column(each, members) for each in (options.predicted, options.score, options.confidence)]
            if any(list in set(map(type, column)) for column in columns):
                columns = list(zip(*map(_alone, zip(*columns, strict=True)), strict=True))
        else:
            alike = parts_alike(members.responses)
            columns = list(zip(*map(_part, members.responses), strict=True)) if alike is None else alike
        predicted, score, confidence = (None if all(one is None for one in column) else column for column in columns)
        return together((predicted, score, confidence), options, options.class_names)

    def _versions(self, members: Members) -> list[str]:
        options = self._options
        if isinstance(options.version, Selector):
            return [version_found(found, options) for found in _column(options.version, members)]
        if options.version:
            return [options.constant_version] * len(members.exchanges)
        paths = list(map(_PATH, members.exchanges))
        named = {path: version_found(version_in_path(path, options), options) for path in set(paths)}
        return list(map(named.__getitem__, paths))

    def _rows(
        self, members: Members, outputs: Outputs, unix_at: Callable[[int], int], skipped: Counter[str]
    ) -> DecodedRows:
        options, exchanges = self._options, members.exchanges
        ids = _aliases_in_headers(exchanges) if options.id is None else _column(options.id, members)
        segments = _column(options.segment, members)
        slow = options.slow_ns > 0
        return DecodedRows(
            event_ns=list(map(unix_at, map(_STARTED, exchanges))),
            weight=[_WEIGHT] * len(exchanges),
            prediction_ids=list(map(_ID, exchanges)),
            aliases=[None if found is None else aliases_found(found, 1, skipped)[0] for found in ids],
            records=members.records,
            columns={},
            outputs=outputs,
            segments=[None if found is None else segments_found(found, 1)[0] for found in segments],
            traces=list(map(_TRACE, exchanges)),
            exemplar=[is_exemplar(one, options) for one in exchanges] if slow else [False] * len(exchanges),
        )


def _is_whole(exchange: Exchange) -> bool:
    """Whether it was answered with success, with bodies that are here in one piece each, of objects by their look."""
    method, status, end, asked, asked_bytes, told, told_bytes, annotations = _SHAPE(exchange)
    if len(asked) != 1 or len(told) != 1 or end is not _COMPLETE or not 200 <= status < 300:
        return False
    size = len(asked[0]) + len(told[0])
    return (
        size <= LONGEST
        and size == asked_bytes + told_bytes
        and not annotations
        and method in _WITH_ANSWERS
        and asked[0][:1] == b"{"
    )


def _json_type(headers: Headers) -> str:
    """The media type where a body is plain JSON; "" where it is anything else."""
    found = None
    for name, value in headers:
        if name == b"content-type" and found is None:
            found = _plain_json(value[:MAX_CONTENT_TYPE])
        elif name == b"content-encoding":
            return ""
    return found or ""


@lru_cache(maxsize=256)
def _plain_json(declared: bytes) -> str:
    media_type, parameters = content_type(((b"content-type", declared),))
    is_json = media_type in MEDIA_TYPES or media_type.endswith("+json")
    return media_type if is_json and parameters.get("charset", "").lower() in PLAIN_CHARSETS else ""


def _form(path: str, media_type: str, document: object) -> tuple[str, ...] | None:
    """What tells apart bodies that are flat objects; None for any other body."""
    if type(document) is dict and FLAT_TYPES.issuperset(map(type, document.values())):
        return (path, media_type, *document)
    return None


def _aliases_in_headers(exchanges: Sequence[Exchange]) -> Sequence[str | None]:
    """``alias_in_headers`` of each; mostly no header is one of those."""
    headers = list(map(_REQUEST_HEADERS, exchanges))
    if _NAMES_OF_ALIASES.isdisjoint(map(_name, chain.from_iterable(headers))):
        return [None] * len(headers)
    return list(map(alias_in_headers, headers))


def _column(selector: Selector | None, members: Members) -> Sequence[object]:
    """What it finds in each."""
    if selector is None:
        return [None] * len(members.exchanges)
    if selector.source == "header":
        name = str(selector.steps[0]).encode("latin-1")
        return [header(each.request_headers, name) or header(each.response_headers, name) for each in members.exchanges]
    return selector.find_in(members.requests if selector.source == "request" else members.responses)


def _part(response: object) -> Part:
    try:
        return parts_of_one(response)
    except DecodeError:
        return _NO_PART


def _alone(part: tuple[object, ...]) -> Part:
    predicted, score, confidence = part
    try:
        return alone(predicted), alone(score), alone(confidence)
    except DecodeError:
        return _NO_PART


def _outputs_of(outputs: Outputs, chosen: Sequence[bool]) -> Outputs:
    score, confidence = list(compress(outputs.score, chosen)), list(compress(outputs.confidence, chosen))
    return Outputs(score, list(compress(outputs.predicted, chosen)), confidence)


def _rows_of(rows: DecodedRows, chosen: Sequence[bool]) -> DecodedRows:
    return DecodedRows(
        event_ns=list(compress(rows.event_ns, chosen)),
        weight=list(compress(rows.weight, chosen)),
        prediction_ids=list(compress(rows.prediction_ids, chosen)),
        aliases=list(compress(rows.aliases, chosen)),
        records=list(compress(rows.records, chosen)),
        columns={},
        outputs=_outputs_of(rows.outputs, chosen),
        segments=list(compress(rows.segments, chosen)),
        traces=list(compress(rows.traces, chosen)),
        exemplar=list(compress(rows.exemplar, chosen)),
    )
