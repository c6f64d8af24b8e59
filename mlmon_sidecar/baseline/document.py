"""A baseline as one document people can read: layout, reference, and which column played which role."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.profile import UnitProfile
from mlmon_sidecar.statistics.reference import Reference

BASELINE_FORMAT = 1
REBUILD = "Build it again with `mlmon baseline build`."


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns that are not features; "" where there is none."""

    timestamp: str = ""
    id: str = ""
    prediction: str = ""
    score: str = ""
    label: str = ""
    weight: str = ""
    segment: str = ""

    def named(self) -> frozenset[str]:
        return frozenset(asdict(self).values()) - {""}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What normal looks like.

    Attributes:
        policy: hash of the redaction policy its category texts passed.
        created: ISO 8601, UTC.
        source: name of the data it was built from.
        rows: of that data.
        notes: what was left out and why, one sentence each.
    """

    layout: Layout
    reference: Reference
    roles: Roles = field(default_factory=Roles)
    policy: str = ""
    created: str = ""
    source: str = ""
    rows: int = 0
    notes: tuple[str, ...] = ()

    def require_policy(self, policy: str) -> None:
        """Raises ``BaselineError`` when category texts were redacted under other rules than serving uses."""
        if policy != self.policy:
            raise BaselineError(
                f"the baseline was built under redaction policy {self.policy!r}, not {policy!r}",
                code="policy_mismatch",
                hint="Build it again with the configuration that serves, or serve with the one it was built with.",
            )

    def named(self, *, source: str, version: str) -> Baseline:
        """With another name of the data, and the version that answered it."""
        return replace(self, source=source, reference=replace(self.reference, version=version))

    def to_document(self) -> dict[str, Any]:
        reference = asdict(self.reference)
        reference["vector"] = self.reference.vector.tolist()
        for section in ("groups", "class_calibration", "errors"):
            if not reference[section]:
                del reference[section]  # documents without one are what they were before there was one
        return {
            "format": BASELINE_FORMAT,
            "model": self.layout.model,
            "created": self.created,
            "source": self.source,
            "rows": self.rows,
            "policy": self.policy,
            "roles": asdict(self.roles),
            "notes": list(self.notes),
            "layout_hash": self.layout.hash,
            "layout": self.layout.to_document(),
            "reference": reference,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Baseline:
        """Raises ``BaselineError`` for another format, a changed layout, or a document that is no baseline."""
        if document.get("format") != BASELINE_FORMAT:
            raise BaselineError(
                f"baseline format {document.get('format')!r} is not {BASELINE_FORMAT}",
                code="baseline_format",
                hint=REBUILD,
            )
        try:
            layout = Layout.from_document(document["layout"])
            reference = _reference(document["reference"])
            baseline = cls(
                layout=layout,
                reference=reference,
                roles=Roles(**document["roles"]),
                notes=tuple(document["notes"]),
                **{name: document[name] for name in ("policy", "created", "source", "rows")},
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BaselineError(
                "the baseline is incomplete", code="baseline_invalid", hint=f"Missing or wrong: {error}. {REBUILD}"
            ) from error
        if layout.hash != document["layout_hash"] or reference.layout != layout.hash:
            raise BaselineError("the layout was changed after it was built", code="layout_mismatch", hint=REBUILD)
        if reference.vector.shape != (layout.size,):
            raise BaselineError("the counts do not fit the layout", code="layout_mismatch", hint=REBUILD)
        return baseline

    def save(self, path: Path) -> None:
        """Atomically: a reader sees the old document or the new one. Mode 0600."""
        beside = path.with_name(path.name + ".part")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(_render(self.to_document()) + "\n")
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Raises ``BaselineError`` where the file cannot be read or is no baseline."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BaselineError(
                f"{path} cannot be read: {error.strerror}",
                code="baseline_unreadable",
                hint="Check `baseline` in mlmon.toml, or make one with `mlmon baseline build`.",
            ) from error
        except ValueError as error:
            raise BaselineError(f"{path} is not JSON", code="baseline_invalid", hint=REBUILD) from error
        if not isinstance(document, dict):
            raise BaselineError(f"{path} is not a baseline", code="baseline_invalid", hint=REBUILD)
        return cls.from_document(document)


def _reference(item: Mapping[str, Any]) -> Reference:
    fields = dict(item)
    vector = np.array(fields.pop("vector"), dtype=np.int64)
    calibration, confusion = tuple(fields.pop("calibration")), tuple(map(tuple, fields.pop("confusion")))
    by_class = tuple(map(tuple, fields.pop("class_calibration", ())))
    profile = {key: UnitProfile.from_document(found) for key, found in fields.pop("profile", {}).items()}
    groups = tuple(map(tuple, fields.pop("groups", ())))
    errors = tuple((int(bin_), int(rows), int(mean)) for bin_, rows, mean in fields.pop("errors", ()))
    return Reference(
        vector=vector,
        calibration=calibration,
        confusion=confusion,
        class_calibration=by_class,
        profile=profile,
        groups=groups,
        errors=errors,
        **fields,
    )


def _render(value: Any, indent: int = 0) -> str:
    """JSON with one line a field and counts on one line, so that it can be read and compared."""
    deeper = "\n" + " " * (indent + 2)
    if isinstance(value, dict) and value:
        fields = (f"{json.dumps(key)}: {_render(item, indent + 2)}" for key, item in value.items())
        return "{" + deeper + ("," + deeper).join(fields) + "\n" + " " * indent + "}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        items = (_render(item, indent + 2) for item in value)
        return "[" + deeper + ("," + deeper).join(items) + "\n" + " " * indent + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
