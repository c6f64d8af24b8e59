"""Incidents that are known to have happened, and how soon the alerts told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from mlmon_sidecar.alerts.incidents import WAITING
from mlmon_sidecar.backtest.history import NO_TIME, event_times
from mlmon_sidecar.backtest.tables import read_table
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import MINUTE_NS

if TYPE_CHECKING:
    from mlmon_sidecar.backtest.replay import Alert, Timeline

FOREVER = 1 << 62
FORM = 'Give a list of {"name", "onset"} with "end" and "features" where they are known, as JSON or CSV.'


@dataclass(frozen=True, slots=True)
class KnownIncident:
    """What happened, by somebody who knows.

    Attributes:
        onset, end: Unix ns; it is found by an alert that opens, or gains a feature, between the two.
        features: empty: whatever an alert names.
    """

    name: str
    onset_ns: int
    end_ns: int
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Detection:
    """The first alert about a known incident; None: there was none.

    Attributes:
        minute: the end of the pane that told.
        rows: that came between the onset and the alert, those of that minute included.
    """

    known: KnownIncident
    alert: Alert | None = None
    minute: int = 0
    rows: int = 0

    @property
    def delay_hours(self) -> float | None:
        if self.alert is None:
            return None
        return max(0.0, (self.minute + 1) * MINUTE_NS - self.known.onset_ns) / (60 * MINUTE_NS)


def read_known(path: Path) -> list[KnownIncident]:
    """Known incidents of a JSON or CSV file in the order of their onsets. Without an end, one lasts until the next
    begins.

    Raises ``BaselineError``: ``incidents_format``, ``data_unreadable``.
    """
    items = sorted((_item(item, path) for item in _items(path)), key=lambda known: known.onset_ns)
    later = [*(known.onset_ns for known in items[1:]), FOREVER]
    return [
        known if known.end_ns else KnownIncident(known.name, known.onset_ns, next_onset, known.features)
        for known, next_onset in zip(items, later, strict=True)
    ]


def detections(
    known: Sequence[KnownIncident], alerts: Sequence[Alert], timeline: Timeline
) -> tuple[list[Detection], list[Alert]]:
    """Each known incident with the first alert that told of it, and the alerts that told of none."""
    matched: set[str] = set()
    found = []
    for item in known:
        told = [(minute, alert) for alert in alerts for minute in _told_at(item, alert)]
        matched |= {alert.incident.key for _, alert in told}
        if not told:
            found.append(Detection(item))
            continue
        minute, first = min(told, key=lambda pair: pair[0])
        rows = timeline.rows_before(minute + 1) - timeline.rows_before(item.onset_ns // MINUTE_NS)
        found.append(Detection(item, first, minute, rows))
    return found, [alert for alert in alerts if alert.incident.key not in matched]


def _told_at(known: KnownIncident, alert: Alert) -> Iterable[int]:
    """Minutes within the known incident at which the alert named something new that it is about."""
    before: frozenset[str] = frozenset()
    for move in alert.moves:
        waiting = frozenset(move.incident.details[WAITING])
        added, before = waiting - before, waiting
        about = added & known.features if known.features else added
        if about and known.onset_ns // MINUTE_NS <= move.minute and move.minute * MINUTE_NS < known.end_ns:
            yield move.minute


def _items(path: Path) -> list[Mapping[str, Any]]:
    if path.suffix.lower() == ".csv":
        columns = read_table(path).columns
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BaselineError(
            f"{path} cannot be read: {error.strerror}", code="data_unreadable", hint="Check the path."
        ) from error
    except orjson.JSONDecodeError as error:
        raise BaselineError(f"{path.name} is neither JSON nor CSV", code="incidents_format", hint=FORM) from error
    items = document.get("incidents") if isinstance(document, dict) else document
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BaselineError(f"{path.name} is not a list of incidents", code="incidents_format", hint=FORM)
    return items


def _item(item: Mapping[str, Any], path: Path) -> KnownIncident:
    onset, end = event_times([item.get("onset"), item.get("end")]).tolist()
    features = item.get("features") or ()
    names = features.split(";") if isinstance(features, str) else features
    if onset == NO_TIME or (item.get("end") is not None and end <= onset) or not isinstance(names, list | tuple):
        raise BaselineError(
            f"{path.name}: an incident has no onset that can be read, an end before it, or features that are no names",
            code="incidents_format",
            hint=FORM,
        )
    told = frozenset(str(name).strip() for name in names)
    return KnownIncident(str(item.get("name") or "incident"), onset, 0 if end == NO_TIME else end, told)
