"""MLflow's scoring server, whose tables in CSV are read as any CSV.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlmon_sidecar.decode.columns import MAX_DEPTH
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import from_items, from_lists, from_named_lists, wrong_shape
from mlmon_sidecar.decode.tabular_answers import answers_of

PATH = "/invocations"
TABLES = ("dataframe_split", "dataframe_records")
TENSORS = ("instances", "inputs")
NAN = b"NaN"  # how Python writes a data frame's missing number into JSON


class MLflowDecoder:
    """``dataframe_split``, ``dataframe_records``, ``instances`` and ``inputs`` in, ``predictions`` out."""

    name = "mlflow"

    def claims(self, side: Side, direction: Direction) -> str:
        document = side.json() if side.is_json else None
        if not isinstance(document, dict):
            return ""
        if direction is Direction.REQUEST:
            table = next((name for name in TABLES if name in document), "")
            if table:
                return f"body has {table}"
        members = TENSORS if direction is Direction.REQUEST else ("predictions",)
        found = next((name for name in members if isinstance(document.get(name), (list, dict))), "")
        return f"path ends in {PATH} and body has {found}" if found and side.path.endswith(PATH) else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = side.json()
        if not isinstance(document, dict):
            raise wrong_shape("the body is not an object")
        member = next((name for name in (*TABLES, *TENSORS) if name in document), "")
        values = _without_nan(document.get(member)) if NAN in side.body else document.get(member)
        if member == "dataframe_split":
            return _split(values, options, document)
        if isinstance(values, dict):
            return from_named_lists(values, options, document)
        return from_items(values, options, document)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document = side.json()
        values = document.get("predictions") if isinstance(document, dict) else document
        return answers_of(values, rows, options, document)


def _split(table: object, options: DecodeOptions, document: Mapping[str, object]) -> RequestRows:
    if not isinstance(table, dict) or not isinstance(table.get("data"), list):
        raise wrong_shape("dataframe_split has no data")
    columns = table.get("columns")
    names = _names(columns) if isinstance(columns, list) and columns else None
    if names is None:
        return from_items(table["data"], options, document)
    return from_lists(table["data"], names, options, document)


def _names(columns: Sequence[object]) -> Sequence[str] | None:
    """Texts that differ; None for a data frame that numbers its columns, which is one without names."""
    if list(columns) == list(range(len(columns))):
        return None
    names: dict[str, None] = {}
    for at, column in enumerate(columns):
        name = ".".join(map(str, column)) if isinstance(column, list) else str(column)
        names[name if name not in names else f"{name}.{at}"] = None
    if len(names) != len(columns):
        raise wrong_shape("columns have the same name")
    return list(names)


def _without_nan(value: object, depth: int = MAX_DEPTH) -> object:
    if isinstance(value, list) and depth:
        return [_without_nan(item, depth - 1) for item in value]
    if isinstance(value, dict) and depth:
        return {name: _without_nan(item, depth - 1) for name, item in value.items()}
    return None if value != value else value
