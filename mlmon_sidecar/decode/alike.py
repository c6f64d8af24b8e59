"""Single-row JSON exchanges, many at once: one look at each, and everything else by columns.

Most traffic of most models is one object in and one prediction out. What ``exchange.py`` works out for each of these
alone is worked out here for a run of them together, with the same result. An exchange that is anything else, or that
only a second look can judge, is left to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from typing import NamedTuple, TypeGuard

import orjson

from mlmon_sidecar.decode.body import MAX_CONTENT_TYPE, Headers, content_type, header
from mlmon_sidecar.decode.columns import FLAT_TYPES
from mlmon_sidecar.decode.detect import AUTO, Detection
from mlmon_sidecar.decode.json_decoder import MEDIA_TYPES, JsonDecoder
from mlmon_sidecar.decode.json_predictions import alone, parts_of_one
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
from mlmon_sidecar.selectors import Selector

LONGEST = 8_192  # bytes of both bodies that are parsed here: one with more is mostly a batch of rows
_COMPLETE = End.COMPLETE  # a look-up by name is slow in Python 3.11
_REQUEST, _RESPONSE = Direction.REQUEST, Direction.RESPONSE
_CLASS_NAMES = frozenset(CLASS_NAME_KEYS)
_JSON = JsonDecoder.name
_WITH_ANSWERS = frozenset({"POST", "PUT", "PATCH", "GET"})
_WEIGHT = row_weight(1)

Part = tuple[object, object, object]
"""What an answer holds: a prediction, a score, a confidence; None for each that is not there."""

_NO_PART: Part = (None, None, None)


class Member(NamedTuple):
    """One exchange of a run."""

    exchange: Exchange
    request: object  # its body
    response: object
    record: Mapping[str, object]  # the row in it


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
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    def take(self, exchange: Exchange) -> bool:
        """Whether the exchange is one of them; then it is in the run."""
        (_, _, method, path, _, _, _, status, end, _, asked_headers, asked, asked_bytes, told_headers, told, told_bytes,
         _, _, _, annotations, *_) = exchange  # fmt: skip
        if not self._able or annotations or end is not _COMPLETE or not 200 <= status < 300:
            return False
        if len(asked) != 1 or len(told) != 1 or method not in _WITH_ANSWERS or path in self._refused:
            return False
        question, answer = asked[0], told[0]  # in one piece each, whole, and an object by its look
        size = len(question) + len(answer)
        if size > LONGEST or size != asked_bytes + told_bytes or question[:1] != b"{":
            return False
        request_type = _json_type(asked_headers)
        response_type = request_type and _json_type(told_headers)
        if not response_type:
            return False
        try:
            request, response = orjson.loads(question), orjson.loads(answer)
        except orjson.JSONDecodeError:
            return False
        record = found_in(request, self._options)
        if (
            type(record) is dict
            and (type(response) is not dict or _CLASS_NAMES.isdisjoint(response))
            and (self._asked or self._is_json(_REQUEST, path, request_type, request))
            and (self._asked or self._is_json(_RESPONSE, path, response_type, response))
        ):
            self._members.append(Member(exchange, request, response, record))
            return True
        self._refused.add(path)
        return False

    def _is_json(self, direction: Direction, path: str, media_type: str, document: object) -> bool:
        """Whether the JSON decoder claims bodies of this form. Mostly the form is that of the body before."""
        form = (path, media_type, *document) if _is_flat(document) else None
        if form is not None and form == self._forms[direction is _REQUEST]:
            return True
        decoder = self._detection.remembered(direction, path, media_type, document)
        is_json = decoder is not None and decoder.name == _JSON
        if is_json and form is not None:
            self._forms[direction is _REQUEST] = form
        return is_json

    def close(self, unix_at: Callable[[int], int], skipped: Counter[str]) -> Lot:
        """The rows of the run, which is empty afterwards. ``skipped`` gets what was left out of them."""
        members, self._members = self._members, []
        try:
            return self._lot(members, unix_at, skipped)
        except Exception:  # whatever it was, the usual way finds it too, exchange by exchange
            return Lot({}, [member.exchange for member in members])

    def _lot(self, members: Sequence[Member], unix_at: Callable[[int], int], skipped: Counter[str]) -> Lot:
        outputs = self._outputs(members)
        if outputs is None:
            return Lot({}, [member.exchange for member in members])
        speaks = [
            name is not None or score == score for name, score in zip(outputs.predicted, outputs.score, strict=True)
        ]
        left: list[Exchange] = []
        if not all(speaks):
            left = [member.exchange for member, said in zip(members, speaks, strict=True) if not said]
            members, outputs = list(compress(members, speaks)), _outputs_of(outputs, speaks)
        versions = self._versions(members)
        rows = self._rows(members, outputs, unix_at, skipped)
        distinct = dict.fromkeys(versions)
        if len(distinct) == 1:
            return Lot({versions[0]: rows}, left)
        return Lot({name: _rows_of(rows, [version == name for version in versions]) for name in distinct}, left)

    def _outputs(self, members: Sequence[Member]) -> Outputs | None:
        """One a member, some of which say nothing; None where all do."""
        options = self._options
        if options.selects_outputs:
            columns = [_column(each, members) for each in (options.predicted, options.score, options.confidence)]
            if any(list in set(map(type, column)) for column in columns):
                columns = list(zip(*map(_alone, zip(*columns, strict=True)), strict=True))
        else:
            columns = list(zip(*[_part(member.response) for member in members], strict=True))
        predicted, score, confidence = (None if all(one is None for one in column) else column for column in columns)
        return together((predicted, score, confidence), options, options.class_names)

    def _versions(self, members: Sequence[Member]) -> list[str]:
        options = self._options
        if isinstance(options.version, Selector):
            return [version_found(found, options) for found in _column(options.version, members)]
        if options.version:
            return [options.constant_version] * len(members)
        paths = [member.exchange.path for member in members]
        named = {path: version_found(version_in_path(path, options), options) for path in set(paths)}
        return [named[path] for path in paths]

    def _rows(
        self, members: Sequence[Member], outputs: Outputs, unix_at: Callable[[int], int], skipped: Counter[str]
    ) -> DecodedRows:
        options = self._options
        exchanges = [member.exchange for member in members]
        ids: Sequence[object] = (
            [alias_in_headers(exchange.request_headers) for exchange in exchanges]
            if options.id is None
            else _column(options.id, members)
        )
        return DecodedRows(
            event_ns=[unix_at(exchange.started_ns) for exchange in exchanges],
            weight=[_WEIGHT] * len(exchanges),
            prediction_ids=[exchange.prediction_id for exchange in exchanges],
            aliases=[None if found is None else aliases_found(found, 1, skipped)[0] for found in ids],
            records=[member.record for member in members],
            columns={},
            outputs=outputs,
            segments=[
                None if found is None else segments_found(found, 1)[0] for found in _column(options.segment, members)
            ],
            traces=[(exchange.trace_id, exchange.span_id) for exchange in exchanges],
            exemplar=[options.slow_ns > 0 and is_exemplar(exchange, options) for exchange in exchanges],
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


def _is_flat(document: object) -> TypeGuard[dict[str, object]]:
    return type(document) is dict and FLAT_TYPES.issuperset(map(type, document.values()))


def _column(selector: Selector | None, members: Sequence[Member]) -> Sequence[object]:
    """What it finds in each."""
    if selector is None:
        return [None] * len(members)
    if selector.source == "header":
        name = str(selector.steps[0]).encode("latin-1")
        exchanges = (member.exchange for member in members)
        return [header(each.request_headers, name) or header(each.response_headers, name) for each in exchanges]
    documents = [member.request if selector.source == "request" else member.response for member in members]
    return selector.find_in(documents)


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
