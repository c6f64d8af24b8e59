"""Versions and the caller's ids: who is asked first, and what is refused."""

import logging
from typing import Any

import pytest
from decode_run import GOOD, JSON, Make, run

from mlmon_sidecar.capture.selection import Selection, SelectionOptions
from mlmon_sidecar.decode import batch
from mlmon_sidecar.decode import exchange as exchange_module
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.options import DecodeOptions, version_path
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side
from mlmon_sidecar.selectors import Selector
from mlmon_sidecar.web.feedback import read_item

ROUTE = "POST /*/fraud:{version}/score"


class Named:
    """A protocol whose bodies name everything."""

    name = "named"

    def claims(self, side: Side, direction: Direction) -> str:
        return "always"

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        body: Any = side.json()
        return RequestRows(1, records=({"a": 1},), aliases=body.get("id"), version=body.get("version", ""))

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        body: Any = side.json()
        outputs = Outputs([0.5], [None], [0.5])
        return Answers(outputs, body, body.get("id"), version=body.get("version", ""))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "DETECTION", Detection({"named": Named()}))


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("options", "path", "request_version", "response_version", "expected"),
    [
        ({"version": "c"}, "/versions/p", "q", "r", "c"),
        ({"version": Selector.compile("response.version")}, "/versions/p", "q", "r", "r"),
        ({"version": Selector.compile("response.nothing")}, "/versions/p", "q", "r", "r"),
        ({"version_paths": (version_path(ROUTE),)}, "/x/fraud:7/score", "q", "r", "7"),
        ({"version_paths": (version_path(ROUTE),)}, "/x/fraud:7/other", "q", "r", "r"),
        ({}, "/v2/models/m/versions/p/infer", "q", "r", "p"),
        ({}, "/v1/models/m/versions/3:predict", "q", "r", "3"),
        ({}, "/v2/models/m/infer", "q", "r", "r"),
        ({}, "/v2/models/m/infer", "q", "", "q"),
        ({"other_version": "e"}, "/v2/models/m/infer", "", "", "e"),
        ({"other_version": "e"}, "/v2/models/m/infer", "", "r", "r"),
        ({}, "/v2/models/m/infer", "", "", "unversioned"),
        ({}, "/v2/models/m/infer", "", "a\nb", "unversioned"),
        ({}, "/v2/models/m/infer", "", "v" * 500, "v" * 128),
    ],
)
def test_versions(
    exchange: Make, options: Any, path: str, request_version: str, response_version: str, expected: str
) -> None:
    one = exchange({"version": request_version}, {"version": response_version}, path=path)
    assert run(one, options=DecodeOptions("m", **options)).batches[0].version == expected


def test_a_route_with_a_version_is_a_route() -> None:
    selection = Selection(SelectionOptions({"m": [ROUTE], "n": ["POST /score"]}))
    assert selection.match("POST", "/x/fraud:7/score") == "m"
    assert selection.match("POST", "/x/fraud:/score") is None
    assert version_path("POST /score") is None


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("headers", "request_id", "response_id", "expected"),
    [
        ({}, "q", "r", "q"),
        ({b"x-request-id": b"h"}, None, "r", "r"),
        ({b"x-request-id": b"h"}, None, None, "h"),
        ({b"x-request-id": b"h", b"ce-id": b"c"}, None, None, "c"),
        ({b"x-request-id": b"h", b"ce-id": b"c", b"x-amzn-sagemaker-inference-id": b"s"}, None, None, "s"),
        ({}, None, None, None),
        ({}, "x" * 128, None, "x" * 128),
    ],
)
def test_ids(
    exchange: Make, headers: dict[bytes, bytes], request_id: str | None, response_id: str | None, expected: str | None
) -> None:
    one = exchange({"id": request_id}, {"id": response_id}, request_headers=(JSON, *headers.items()))
    decoded = run(one)
    assert (decoded.batches[0].aliases, decoded.skipped) == ([expected], {})
    assert decoded.batches[0].prediction_ids == ["0191"]


@pytest.mark.parametrize("bad", ["x" * 513, "a\nb", "a\x1b[31m", "\ud800", "a\u202eb"])
def test_what_is_no_id(exchange: Make, bad: str) -> None:
    body = '{{"tx": "{}", "a": 1}}'.format("".join(f"\\u{ord(letter):04x}" for letter in bad)).encode()
    decoded = run(exchange(body, GOOD), options=DecodeOptions("m", id=Selector.compile("request.tx")))
    assert (decoded.batches[0].aliases, decoded.skipped) == ([None], {"bad_alias": 1})


def test_ids_as_long_as_a_gateway_makes_them_are_aliases(exchange: Make) -> None:
    long = "chatcmpl-" + "x" * 503
    one = exchange([{"a": 1}, {"a": 2}], [0.1, 0.2], request_headers=(JSON, (b"x-request-id", long.encode())))
    aliases = run(one).batches[0].aliases
    assert aliases == [f"{long}/0", f"{long}/1"]
    assert [read_item({"id": alias, "label": "x"}, 1).id for alias in aliases] == aliases


def test_a_header_names_a_batch_row_by_row(exchange: Make) -> None:
    one = exchange([{"a": 1}, {"a": 2}], [0.1, 0.2], request_headers=(JSON, (b"x-request-id", b"r")))
    assert run(one).batches[0].aliases == ["r/0", "r/1"]


def test_a_model_without_versions_is_spoken_of_once(exchange: Make, caplog: pytest.LogCaptureFixture) -> None:
    batch.tell_unversioned.cache_clear()
    with caplog.at_level(logging.WARNING):
        for name in ("fraud", "fraud", "other"):
            run(exchange({"a": 1}, GOOD), options=DecodeOptions(name))
        run(exchange({"a": 1}, GOOD), options=DecodeOptions("third", version="v1"))
    assert [record.args and record.args[0] for record in caplog.records] == ["fraud", "other"]
