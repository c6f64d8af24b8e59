"""Field types shared by the settings tables, each with its check and the sentence that says what is wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from mlmon_sidecar.config.durations import format_duration, parse_duration
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.selectors import SOURCES, Selector

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROUTE = re.compile(r"[A-Z]+ /[^\s?#]*")
_HEADER = re.compile(r"[a-z0-9-]+")
_UNIX_PREFIX = "unix:///"
_SQLITE_PREFIX = "sqlite:///"
_POSTGRES_PREFIX = "postgresql://"


class Table(BaseModel):
    """One table of the file: read-only, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _model_name(value: str) -> str:
    if not _MODEL_NAME.fullmatch(value):
        raise ValueError("is not a model name: up to 64 letters, digits, dots, dashes and underscores")
    return value


def _route(value: str) -> str:
    if not _ROUTE.fullmatch(value):
        raise ValueError("is not a route: write the method, a space and the path")
    return value


def _path(value: str) -> str:
    if not re.fullmatch(r"/[^\s?#]*", value):
        raise ValueError("is not a path: begin with a slash")
    return value


def _selector(value: str | None) -> str | None:
    if value is not None:
        try:
            Selector.compile(value)
        except ConfigError as error:
            raise ValueError(f"is not a selector. {error.hint}") from None
    return value


def is_selector(value: str) -> bool:
    """Whether a text that may also be a constant names a place in an exchange."""
    return re.split(r"[.\[]", value, maxsplit=1)[0] in SOURCES


def _constant_or_selector(value: str | None) -> str | None:
    return _selector(value) if value is not None and is_selector(value) else value


def _mount(value: str | None) -> str | None:
    if value is not None and not (value.startswith("/") and len(value) > 1 and not value.endswith("/")):
        raise ValueError("must start with '/' and not end with it")
    return value


def _header(value: str | None) -> str | None:
    if value is not None and not _HEADER.fullmatch(value.lower()):
        raise ValueError("is not a header name: letters, digits and dashes")
    return value and value.lower()


def _store_url(value: str) -> str:
    if value.startswith(_POSTGRES_PREFIX):
        parts = urlsplit(value)
        if parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True):
            raise ValueError("holds a password: name a file with ?passfile=, or set PGPASSFILE or PGPASSWORD")
        return value
    if not value.startswith(_SQLITE_PREFIX) or value == _SQLITE_PREFIX:
        raise ValueError(f"must be {_SQLITE_PREFIX} and a path, or {_POSTGRES_PREFIX}user@host/database")
    return value


def _hub_url(value: str) -> str:
    if value.startswith(("https://", "http://")):
        raise ValueError('names a network hub, not available in this version yet; use "embedded" or a unix socket')
    if value != "embedded" and not (value.startswith(_UNIX_PREFIX) and value != _UNIX_PREFIX):
        raise ValueError(f'must be "embedded", or {_UNIX_PREFIX} and the absolute path of a socket')
    return value


def _otlp_endpoint(value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return value


OptionalText = Annotated[str | None, BeforeValidator(_none_if_empty)]
SelectorText = Annotated[OptionalText, AfterValidator(_selector)]
ConstantOrSelector = Annotated[OptionalText, AfterValidator(_constant_or_selector)]
ModelName = Annotated[str, AfterValidator(_model_name)]
Route = Annotated[str, AfterValidator(_route)]
Path = Annotated[str, AfterValidator(_path)]
Mount = Annotated[OptionalText, AfterValidator(_mount)]
Header = Annotated[OptionalText, AfterValidator(_header)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
HubUrl = Annotated[str, AfterValidator(_hub_url)]
OtlpEndpoint = Annotated[OptionalText, AfterValidator(_otlp_endpoint)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d{1,9}[wdhms])+$"}),
]
