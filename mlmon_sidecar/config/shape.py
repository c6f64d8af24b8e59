"""What keys exist: the settings tree seen as tables and options. Everything that lists or looks up keys asks here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

NAME = "NAME"  # stands for the user's own name in a table of tables

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """One key that holds a value, with the path that leads to it (``NAME`` for a name of the user's own)."""

    key: tuple[str, ...]
    field: FieldInfo

    @property
    def is_list(self) -> bool:
        return get_origin(self.field.annotation) is tuple


def table_of(annotation: Any) -> type[BaseModel] | None:
    """The table an annotation stands for, if it is one."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def member_of(annotation: Any) -> type[BaseModel] | None:
    """The table that each entry of a table of tables is, if the annotation is one."""
    return table_of(get_args(annotation)[1]) if get_origin(annotation) is dict else None


def options(table: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[Option]:
    """Every key below a table that holds a value, in the order of definition."""
    for name, field in table.model_fields.items():
        inner, member = table_of(field.annotation), member_of(field.annotation)
        if inner:
            yield from options(inner, (*prefix, name))
        elif member:
            yield from options(member, (*prefix, name, NAME))
        else:
            yield Option((*prefix, name), field)


def find(table: type[BaseModel], key: Key) -> type[BaseModel] | FieldInfo | None:
    """The table or field a key names; None where there is no such key."""
    if not key:
        return table
    field = table.model_fields.get(str(key[0]))
    if field is None:
        return None
    inner, member = table_of(field.annotation), member_of(field.annotation)
    if inner:
        return find(inner, key[1:])
    if member and len(key) > 1:
        return find(member, key[2:])
    return field


def text(key: Key) -> str:
    """``models."odd name".routes[2]``: a key as the file would write it."""
    written = ""
    for part in key:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            plain = part.isascii() and part.replace("_", "").replace("-", "").isalnum()
            written += ("." if written else "") + (part if plain else repr(part))
    return written
