"""BentoML's JSON: keyword arguments in one object, of which a single one may be a batch.

https://docs.bentoml.com/en/latest/build-with-bentoml/iotypes.html
"""

from __future__ import annotations

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import from_items, from_named_lists, wrong_shape
from mlmon_sidecar.decode.tabular_answers import answers_of

READ_BY_OTHERS = frozenset({"features", "instances"})


class BentoMLDecoder:
    """``{"rows": [[...], [...]]}``, ``{"frame": [{...}, {...}]}`` and ``{"frame": {"a": [...], "b": [...]}}``.

    Plain keyword arguments and bare lists are JSON like any other.
    """

    name = "bentoml"

    def claims(self, side: Side, direction: Direction) -> str:
        document = side.json() if side.is_json and direction is Direction.REQUEST else None
        if not isinstance(document, dict) or len(document) != 1 or not document.keys().isdisjoint(READ_BY_OTHERS):
            return ""
        (table,) = document.values()
        return "the body's only member is a table" if _is_table(table) else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = side.json()
        table = next(iter(document.values()), None) if isinstance(document, dict) else document
        if isinstance(table, dict):
            return from_named_lists(table, options, document)
        if not _is_table(table):
            raise wrong_shape("the body's only member is not a table")
        return from_items(table, options, document)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        return answers_of(side.json(), rows, options, side.json())


def _is_table(value: object) -> bool:
    """A list of objects, a list of lists, or an object of lists of one length."""
    if isinstance(value, dict):
        lengths = {len(column) if isinstance(column, list) else -1 for column in value.values()}
        return len(lengths) == 1 and min(lengths) > 0
    return isinstance(value, list) and set(map(type, value)) in ({dict}, {list})
