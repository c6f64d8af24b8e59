"""A bound on versions: one may come from a request, and each costs panes."""

from __future__ import annotations

from collections.abc import Iterable

from mlmon_sidecar.decode.options import UNVERSIONED
from mlmon_sidecar.telemetry import logger

MAX_VERSIONS = 64  # of one model, while this process lives
OTHER_VERSION = "_other"


class Versions:
    """Which versions were seen first."""

    def __init__(self, models: Iterable[str]) -> None:
        self._known: dict[str, set[str]] = {name: set() for name in models}

    def known(self, model: str, version: str) -> bool:
        """Whether it may keep its name; further ones are ``OTHER_VERSION`` together."""
        known = self._known[model]
        if version not in known and len(known) < MAX_VERSIONS:
            known.add(version)
            if version == UNVERSIONED:
                logger.warning(
                    "mlmon: predictions of model %s name no version; set models.%s.version or model_version",
                    model,
                    model,
                )
        return version in known
