import json
import re
from pathlib import Path

import pytest

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.selectors import Selector

DOCUMENT = {"a": {"b": 7, "odd.name": {"x": 8}}, "predictions": [0.1, 0.9], "rows": [{"s": 1}, {}, 5, {"s": 4}]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("request", DOCUMENT),
        ("request.a.b", 7),
        ('request.a["odd.name"].x', 8),
        ("response.predictions[0]", 0.1),
        ("response.predictions[-1]", 0.9),
        ("response.predictions[2]", None),
        ("response.predictions[-3]", None),
        ("response.rows[*].s", [1, None, None, 4]),
        ("response.rows.s", [1, None, None, 4]),
        ("response.rows[*]", DOCUMENT["rows"]),
        ("response.a[*]", None),
        ("response.a[0]", None),
        ("response.a.b.c", None),
        ("response.missing.deep", None),
    ],
)
def test_finds(text: str, found: object) -> None:
    assert Selector.compile(text).find(DOCUMENT) == found


def test_body_that_is_a_list_answers_row_by_row() -> None:
    rows = [{"score": 0.1, "v": [1]}, {"score": 0.2}]
    assert Selector.compile("response.score").find(rows) == [0.1, 0.2]
    assert Selector.compile("response[*].score").find(rows) == [0.1, 0.2]
    assert Selector.compile("response.v[0]").find(rows) == [1, None]
    assert Selector.compile("response[1].score").find(rows) == 0.2


@pytest.mark.parametrize("document", [None, 1, "text", [], [1, 2], {}, [[{}]]])
def test_never_raises_on_another_shape(document: object) -> None:
    for text in ("request.a.b", "request[0].a", "request[*].a[3].b", 'request["a"]'):
        assert set(repr(Selector.compile(text).find(document))) <= set("None[], ")


def test_header_names_are_lower_case() -> None:
    selector = Selector.compile("header.X-Request-Id")
    assert (selector.source, selector.steps) == ("header", ("x-request-id",))


@pytest.mark.parametrize(("text", "member"), [("request.a.b", "a.b"), ("request.a[0]", None), ("response.a", None)])
def test_member_names_the_column(text: str, member: str | None) -> None:
    assert Selector.compile(text).member == member


@pytest.mark.parametrize(
    "text",
    ["", "score", "body.score", "request..a", "request.a[", "request.a[x]", "request.a b", "requestx", "header",
     "header.", "header.a b", "header.a\r\nb", "response[*].a[*]", "request.", "request[1.5]", "request." + "a" * 600],
)  # fmt: skip
def test_refuses_with_a_hint(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Selector.compile(text)
    assert caught.value.code == "bad_selector"
    assert caught.value.hint


def test_the_hint_points_at_the_place() -> None:
    with pytest.raises(ConfigError, match="character 9 on"):
        Selector.compile("request.a[x]")


def test_the_documented_examples_are_true() -> None:
    page = (Path(__file__).parents[1] / "docs" / "payloads.md").read_text(encoding="utf-8")
    section = page.partition("## Selectors")[2].partition("\n## ")[0]
    document = json.loads(section.partition("```json\n")[2].partition("```")[0])
    examples = re.findall(r"^\| `(request[^`]*)` \| `([^`]*)` \|", section, re.MULTILINE)
    assert len(examples) == 8
    for text, found in examples:
        assert Selector.compile(text).find(document) == json.loads(found), text
    assert Selector.compile("request").find(document) is document
    assert Selector.compile("header.X-Request-Id").steps == ("x-request-id",)
