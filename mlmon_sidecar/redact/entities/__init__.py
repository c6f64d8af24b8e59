"""Personal data that is known by its form. One file per entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mlmon_sidecar.redact.entities.email import EmailDetector

if TYPE_CHECKING:
    from mlmon_sidecar.interfaces import EntityDetector

ENTITIES: Mapping[str, Callable[[], EntityDetector]] = {
    "email": EmailDetector,
}
"""Every entity by its name: what makes its detector."""
