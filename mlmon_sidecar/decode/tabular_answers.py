"""Answers with one prediction a row, as a list or as named columns: what the tabular protocols have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mlmon_sidecar.decode.json_predictions import per_row
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.output_columns import read_outputs, together
from mlmon_sidecar.decode.outputs import CONFIDENCE_KEYS, PREDICTED_KEYS, SCORE_KEYS
from mlmon_sidecar.decode.sides import Answers, Outputs

KNOWN_KEYS = frozenset((*PREDICTED_KEYS, *SCORE_KEYS, *CONFIDENCE_KEYS))


def answers_of(
    values: object, rows: int, options: DecodeOptions, document: object, model: str = "", version: str = ""
) -> Answers:
    """``values``: one item a row, or an object of such columns. Not looked at where selectors say what is predicted.

    Raises:
        DecodeError: ``row_mismatch`` where items and rows differ in number.
    """
    outputs = None if options.selects_outputs else _outputs(values, rows, options)
    return Answers(outputs, document=document, model=model, version=version)


def _outputs(values: object, rows: int, options: DecodeOptions) -> Outputs | None:
    if isinstance(values, Mapping) and _are_columns(values, rows):
        return outputs_of_columns(values, rows, options)
    items = per_row(values, rows)
    return None if items is None else read_outputs(_unwrapped(items), options, options.class_names)


def outputs_of_columns(columns: Mapping[str, object], rows: int, options: DecodeOptions) -> Outputs | None:
    """Columns known by their names (``label``, ``output_probability``); by their types where no name says anything."""
    predicted, scored = _named(columns, PREDICTED_KEYS), _named(columns, SCORE_KEYS)
    if predicted is None and scored is None:
        scored = next((values for values in columns.values() if _kind(values) in (float, list)), None)
        predicted = next((values for values in columns.values() if _kind(values) in (str, int, bool)), None)
        if len(columns) == 1:
            predicted, scored = next(iter(columns.values())), None
    parts = per_row(predicted, rows), per_row(scored, rows), per_row(_named(columns, CONFIDENCE_KEYS), rows)
    return together(parts, options, options.class_names)


def _are_columns(values: Mapping[str, object], rows: int) -> bool:
    """Not where one row's own members are lists, as in ``{"classes": [...], "scores": [...]}``."""
    lists = [item for item in values.values() if isinstance(item, list)]
    return bool(values) and len(lists) == len(values) and all(len(item) == rows for item in lists)


def _unwrapped(items: Sequence[object]) -> Sequence[object]:
    """``[{"0": 0.7}, {"0": 0.2}]`` as ``[0.7, 0.2]``: data frames of one column answer with its name."""
    names = {tuple(item) if isinstance(item, dict) and len(item) == 1 else () for item in items}
    if len(names) != 1 or names & {(), *((key,) for key in KNOWN_KEYS)}:
        return items
    return [value for item in items if isinstance(item, dict) for value in item.values()]


def _named(columns: Mapping[str, object], keys: Collection[str]) -> object:
    for key in keys:
        for name, values in columns.items():
            lowered = name.lower()
            if key in (lowered, lowered.rpartition("_")[2]):
                return values
    return None


def _kind(values: object) -> type:
    first = values[0] if isinstance(values, list) and values else None
    return type(first)
