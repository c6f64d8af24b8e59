"""Where values come from: the file, the environment, keywords. One layer each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from mlmon_sidecar.config import shape
from mlmon_sidecar.config.expansion import expand_tree
from mlmon_sidecar.config.shape import Key
from mlmon_sidecar.errors import ConfigError

PREFIX = "MLMON_"
CONFIG_VARIABLE = "MLMON_CONFIG"
DEFAULT_FILE = "mlmon.toml"
MISSING: Final = object()
NOT_SETTINGS = re.compile(r"MLMON_(CONFIG|DEBUG|PURE_PYTHON|TEST_\w+)")
"""Ours, but no settings: the file's path, tracebacks in the command line, the tap without its compiled part, and the
project's own test runs."""

KUBERNETES = re.compile(r"MLMON_(\w+_)?(PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|SERVICE_(HOST|PORT)(_\w+)?)")
"""What Kubernetes puts into every pod beside a Service called mlmon or mlmon-something. Never a setting.
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one origin, nested like the file.

    Attributes:
        origin: how messages name it: the file's path, "environment" or "keyword".
        values: expanded.
        written: as the user wrote them; messages quote these, so that an expanded secret is never shown.
        problems: key to one sentence, found before the values are checked.
        variables: key to the environment variable that set it.
        warnings: whole sentences.
    """

    origin: str
    values: Mapping[str, Any]
    written: Mapping[str, Any]
    problems: Mapping[Key, str] = field(default_factory=dict)
    variables: Mapping[Key, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def holds(self, key: Key) -> bool:
        return self.lookup(key) is not MISSING

    def lookup(self, key: Key) -> Any:
        """The value as written; ``MISSING`` where this layer says nothing."""
        value: Any = self.written
        for part in key:
            if isinstance(value, Mapping) and part in value:
                value = value[str(part)]
            elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return MISSING
        return value


def keyword_layer(overrides: Mapping[str, Any]) -> Layer:
    return Layer("keyword", overrides, overrides)


def file_layer(path: str | Path | None, environ: Mapping[str, str]) -> Layer | None:
    """The file named by ``path``, else by ``MLMON_CONFIG``, else ``./mlmon.toml`` where there is one.

    Raises ``ConfigError``: ``config_missing`` where a named file cannot be read, ``config_syntax`` with the line.
    """
    named = path or environ.get(CONFIG_VARIABLE)
    file = Path(named or DEFAULT_FILE)
    if not named and not file.exists():
        return None
    try:
        written = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read ({error.strerror})",
            code="config_missing",
            hint=f"Name another file with --config or {CONFIG_VARIABLE}, or make this one readable.",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: is not UTF-8 at byte {error.start}", code="config_syntax", hint="Save the file as UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file}: is not valid TOML: {error}", code="config_syntax", hint="Correct the line that is named."
        ) from None
    problems: dict[Key, str] = {}
    return Layer(str(file), expand_tree(written, environ, problems), written, problems)


def environment_layer(table: type[BaseModel], environ: Mapping[str, str], names: list[str]) -> Layer:
    """``MLMON_A__B=value`` as ``{"a": {"b": value}}``; lists are comma-separated.

    Args:
        names: models known from elsewhere, which a variable may name in any case, with ``_`` for ``-`` and ``.``.
    """
    values: dict[str, Any] = {}
    variables: dict[Key, str] = {}
    warnings: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or NOT_SETTINGS.fullmatch(variable) or KUBERNETES.fullmatch(variable):
            continue
        option = _option(table, variable, names)
        if option is None:
            warnings.append(_unknown(table, variable))
            continue
        inner = values
        for part in option.key[:-1]:
            inner = inner.setdefault(part, {})
        text = environ[variable]
        inner[option.key[-1]] = [item.strip() for item in text.split(",") if item.strip()] if option.is_list else text
        variables[option.key] = variable
    return Layer("environment", values, values, variables=variables, warnings=tuple(warnings))


def variable_name(key: tuple[str, ...]) -> str:
    """``MLMON_HUB__URL`` for ``("hub", "url")``."""
    return PREFIX + "__".join(part.upper() for part in key)


def _canonical(name: str) -> str:
    return re.sub(r"[-.]", "_", name).lower()


def _option(table: type[BaseModel], variable: str, names: list[str]) -> shape.Option | None:
    """The option a variable sets, with the user's own name put in."""
    parts = variable.removeprefix(PREFIX).lower().split("__")
    for option in shape.options(table):
        pattern = [None if part == shape.NAME else part for part in option.key]
        if len(pattern) == len(parts) and all(want in (None, part) for want, part in zip(pattern, parts, strict=True)):
            given = [part for want, part in zip(pattern, parts, strict=True) if want is None]
            known = {_canonical(name): name for name in names}
            if any(not part or (known and part not in known) for part in given):
                return None
            key = tuple(known.get(part, part) if want is None else part
                        for want, part in zip(pattern, parts, strict=True))  # fmt: skip
            return shape.Option(key, option.field)
    return None


def _unknown(table: type[BaseModel], variable: str) -> str:
    known = [variable_name(option.key) for option in shape.options(table)]
    near = get_close_matches(variable, known, n=1, cutoff=0.75)
    hint = f"did you mean {near[0]}?" if near else "`mlmon config schema` lists what can be set"
    return f"the environment variable {variable} is not a setting and is ignored; {hint}"
