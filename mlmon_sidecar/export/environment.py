"""Reading the standard ``OTEL_*`` variables: an empty one counts as unset, a bad one is named and not used."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

logger = logging.getLogger("mlmon_sidecar")


class Environment:
    """Typed look-ups. Where several names are given, the first that is set counts.

    Never raises: the application must start whatever a variable says. Values are not logged, they may hold keys.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, *names: str) -> str:
        return self._find(names)[1]

    def flag(self, name: str) -> bool:
        return self.text(name).lower() == "true"

    def number(self, names: str | Sequence[str], default: float, *, divide: float = 1.0) -> float:
        """A finite number above zero, divided by ``divide``; else ``default`` as it is."""
        name, text = self._find(names)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value > 0:
            return value / divide
        self._refuse(name, "a number above zero")
        return default

    def choice(self, names: str | Sequence[str], allowed: Sequence[str], default: str) -> str:
        name, text = self._find(names)
        if not text:
            return default
        if text.lower() in allowed:
            return text.lower()
        self._refuse(name, f"one of {', '.join(allowed)}")
        return default

    def exporter(self, name: str) -> str:
        """ "otlp", "none" or "" (unset) from a comma-separated list of exporter names."""
        named = {part.strip().lower() for part in self.text(name).split(",")} - {""}
        if named - {"otlp", "none"}:
            self._refuse(name, "otlp or none")
        if "otlp" in named:
            return "otlp"
        return "none" if named else ""

    def pairs(self, *names: str, lower: bool = False) -> dict[str, str]:
        """``key=value,key=value`` with URL-encoded values (W3C Baggage form). A part without ``=`` is left out."""
        name, text = self._find(names)
        found = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = part.partition("=")
            if equals and key.strip():
                found[key.strip().lower() if lower else key.strip()] = unquote(value.strip())
            else:
                self._refuse(name, "a list of key=value")
        return found

    def _find(self, names: str | Sequence[str]) -> tuple[str, str]:
        for name in (names,) if isinstance(names, str) else names:
            if text := self._environ.get(name, "").strip():
                return name, text
        return "", ""

    def _refuse(self, name: str, wanted: str) -> None:
        logger.warning("mlmon: %s is not %s and is not used", name, wanted)
