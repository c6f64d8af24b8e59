"""What is wrong with the configuration, each problem as one sentence: where, which key, what it holds, what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mlmon_sidecar.config import shape
from mlmon_sidecar.config.layers import Layer
from mlmon_sidecar.config.shape import Key
from mlmon_sidecar.errors import ConfigError

LONGEST_SHOWN = 60
_CREDENTIALS = re.compile(r"//[^/@]*@")
_PASSWORD = re.compile(r"(?<=[?&]password=)[^&]+")
_WANTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text in quotes",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
"""Pydantic's type of error to what the key takes."""

_RANGES = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


def config_error(table: type[BaseModel], layers: Sequence[Layer], error: ValidationError | None) -> ConfigError:
    """All problems of all layers in one error.

    Args:
        layers: strongest first.
        error: what the settings themselves refused, if they did.
    """
    lines: dict[Key, str] = {}
    for layer in layers:
        lines |= {key: f"{place(layer, key)}: {sentence}" for key, sentence in layer.problems.items()}
    for detail in error.errors(include_url=False) if error else ():
        key = tuple(part for part in detail["loc"] if part != "[key]")
        if key not in lines:
            lines[key] = _line(table, layers, key, detail)
    sentences = list(lines.values())
    if len(sentences) == 1:
        return ConfigError(sentences[0], code="config_invalid")
    listed = "\n".join(f"  {sentence}" for sentence in sentences)
    return ConfigError(f"{len(sentences)} problems in the configuration:\n{listed}", code="config_invalid")


def place(layer: Layer, key: Key) -> str:
    """Origin and key: ``mlmon.toml: hub.url``, or the variable that set it."""
    variable = layer.variables.get(tuple(part for part in key if isinstance(part, str)))
    return f"environment variable {variable} ({shape.text(key)})" if variable else f"{layer.origin}: {shape.text(key)}"


def shown(value: object, key: Key = ()) -> str:
    """A value for a message: its type, and the value where it is short and cannot be a secret."""
    kind = {bool: "the boolean", int: "the number", float: "the number", str: "the text"}.get(type(value))
    if kind is None:
        return "a table" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else "a value"
    if isinstance(value, str) and (key[:1] == ("tokens",) or len(value) > LONGEST_SHOWN):
        return "a text"  # A token pasted where its file's path belongs must not reach a log.
    text = without_credentials(value) if isinstance(value, str) else value
    return f"{kind} {json.dumps(text, ensure_ascii=False)}"


def without_credentials(text: str) -> str:
    """A URL with user and password blotted out; any other text as it is."""
    return _PASSWORD.sub("***", _CREDENTIALS.sub("//***@", text))


def _line(table: type[BaseModel], layers: Sequence[Layer], key: Key, detail: ErrorDetails) -> str:
    layer = next((layer for layer in layers if key and layer.holds(key)), None)
    if layer is None:  # A statement about several keys, which its own text names.
        origins = [layer.origin for layer in layers if layer.values and layer.origin != "environment"]
        return f"{origins[-1] if origins else 'settings'}: {_own_words(detail)}"
    if detail["type"] == "extra_forbidden":
        where = f"{layer.origin}: {shape.text(key[:-1])}: " if len(key) > 1 else f"{layer.origin}: "
        return where + _unknown(table, key)
    field = shape.find(table, tuple(part for part in key if isinstance(part, str)))
    value = layer.lookup(key)
    return f"{place(layer, key)}: {_wrong(detail, value, key)}{_fix(table, field, key, value)}"


def _wrong(detail: ErrorDetails, value: object, key: Key) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return f"{shown(value, key)} {_own_words(detail)}"
    if kind in _RANGES:
        return f"must be {_RANGES[kind].format(**context)}, but is {shown(value, key)}"
    if kind == "literal_error":
        return f"must be {context['expected']}, but is {shown(value, key)}"
    wanted = _WANTED.get(kind)
    return f"takes {wanted}, but holds {shown(value, key)}" if wanted else f"{shown(value, key)}: {detail['msg']}"


def _own_words(detail: ErrorDetails) -> str:
    return str(detail.get("ctx", {}).get("error", detail["msg"]))


def _fix(table: type[BaseModel], field: object, key: Key, value: object) -> str:
    if not isinstance(field, FieldInfo) or not field.examples:
        return ""
    if isinstance(value, Mapping):
        tables = [name for name, inner in table.model_fields.items() if not inner.examples]
        near = get_close_matches(str(key[-1]), tables, n=1)
        if len(key) == 1 and near:
            return f"; did you mean the table {near[0]!r}?"
    name = next(part for part in reversed(key) if isinstance(part, str))
    return f"; for example: {name} = {json.dumps(field.examples[0])}"


def _unknown(table: type[BaseModel], key: Key) -> str:
    parent = shape.find(table, key[:-1])
    known: list[str] = []
    if isinstance(parent, type) and issubclass(parent, BaseModel):
        known = list(parent.model_fields)
    near = get_close_matches(str(key[-1]), known, n=1)
    if near:
        return f"unknown key {key[-1]!r}, did you mean {near[0]!r}?"
    elsewhere = [shape.text(option.key) for option in shape.options(table) if option.key[-1] == key[-1]]
    if elsewhere:
        return f"unknown key {key[-1]!r} here; it belongs to {' or '.join(elsewhere)}"
    return f"unknown key {key[-1]!r}; known here are {', '.join(sorted(known))}"


def origin_of(layers: Sequence[Layer], key: tuple[str, ...]) -> str:
    """Where the value of a key comes from: a variable, a file, "keyword", or "default"."""
    for layer in layers:
        if layer.holds(key):
            return layer.variables.get(key, layer.origin)
    return "default"


def known_names(layers: Sequence[Layer]) -> list[str]:
    """Model names that layers define."""
    names: list[str] = []
    for layer in layers:
        models: Any = layer.values.get("models")
        names += [str(name) for name in models] if isinstance(models, Mapping) else []
        model = layer.values.get("model")
        names += [model] if isinstance(model, str) and model else []
    return names
