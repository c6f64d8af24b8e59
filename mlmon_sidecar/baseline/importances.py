"""How much each feature matters to the model, as shares of the budget for false alarms."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlmon_sidecar.errors import BaselineError

HINT = "Give an object that maps feature names to numbers, 0 or more."


def read_importances(path: Path) -> Mapping[str, float]:
    """A JSON object, name to number. Raises ``BaselineError``: ``importances_invalid``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(
            f"{path} cannot be read: {error.strerror}", code="importances_invalid", hint="Check the path."
        ) from error
    except ValueError as error:
        raise BaselineError(f"{path} is not JSON", code="importances_invalid", hint=HINT) from error
    return importances_of(found)


def importances_of(given: Any) -> Mapping[str, float]:
    """Of a mapping, or of a fitted model in the manner of scikit-learn that knows its features' names.

    Raises ``BaselineError``: ``importances_invalid``.
    """
    if isinstance(given, Mapping):
        found = dict(given)
    elif hasattr(given, "feature_importances_") and hasattr(given, "feature_names_in_"):
        numbers = map(float, given.feature_importances_)
        found = dict(zip(map(str, given.feature_names_in_), numbers, strict=True))
    else:
        raise BaselineError("these are no importances", code="importances_invalid", hint=HINT)
    if any(not _is_share(value) for value in found.values()) or not sum(found.values()) > 0:
        raise BaselineError("an importance is no number, or all of them are 0", code="importances_invalid", hint=HINT)
    return {str(name): float(value) for name, value in found.items()}


def weights_of(given: Mapping[str, float], features: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Weight of each feature, summing to 1, and the names given that are no feature.

    What is given for a column that was taken apart (a text, a vector) is shared by its parts. A feature that is not
    given weighs nothing here; the engine keeps every weight above a floor. Raises ``BaselineError``:
    ``importances_invalid`` where none of the names is a feature's.
    """
    weights = dict.fromkeys(features, 0.0)
    unknown = []
    for name, value in given.items():
        parts = [name] if name in weights else [feature for feature in features if feature.startswith(f"{name}.")]
        for part in parts:
            weights[part] += value / len(parts)
        if not parts:
            unknown.append(name)
    total = math.fsum(weights.values())
    if not total > 0:
        raise BaselineError(
            "the importances name none of the features",
            code="importances_invalid",
            hint=f"The features are {', '.join(features[:20])}.",
        )
    return {name: weight / total for name, weight in weights.items()}, sorted(unknown)


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
