"""What a store must do: few, whole transactions. One test suite runs over every implementation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from mlmon_sidecar.records import (
    Assumption,
    Erased,
    Flush,
    FlushReceipt,
    Incident,
    Label,
    LabelledCompletion,
    LabelReceipt,
    OutcomeCell,
    Pane,
)
from mlmon_sidecar.store.label_rules import Rules


class RecorderRow(NamedTuple):
    recorder_id: str
    last_seq: int
    lost: int
    origin: str  # host:pid
    seen_ns: int
    complete_through: Mapping[str, int]
    closed: bool


class StoredPane(NamedTuple):
    pane_id: int
    pane: Pane


class Point(NamedTuple):
    """One value of one curve."""

    name: str
    label: str
    at_minute: int
    value: float


class Keep(NamedTuple):
    """The oldest figures of one model that stay."""

    minute_curves: int  # minute; curves with a value a minute
    figures: int  # minute; panes, all other curves, incidents that ended
    outcome_day: int  # day of the prediction


@dataclass(frozen=True, slots=True)
class ModelState:
    """What the evaluation of one model depends on besides its panes."""

    watermark: int  # every minute up to and with it is sealed; -1: none
    detector: bytes
    quality: bytes
    progress: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seal:
    """One sealing transaction."""

    model: str
    consumed: Sequence[int]  # ids of the open panes summed here
    panes: Sequence[Pane]  # fleet panes, whole sums
    state: ModelState
    series: Sequence[Point]
    incidents: Sequence[tuple[Incident, str, int]]  # incident, transition ("" for a silent update), minute
    judged: Sequence[OutcomeCell] = ()  # labels that the quality detector has taken here


class Store(Protocol):
    """Raises ``StoreError``; code ``fenced`` when another hub took over."""

    @property
    def schema_version(self) -> int: ...
    def take_over(self) -> None: ...
    def commit_flush(self, flush: Flush, seen_ns: int) -> FlushReceipt: ...
    def recorders(self) -> list[RecorderRow]: ...
    def forget_recorders(self, seen_before_ns: int) -> int: ...
    def counters(self) -> dict[str, int]: ...
    def open_panes(self, model: str, through: int, minutes: int) -> list[StoredPane]: ...
    def newer_panes(self, model: str, after: int) -> list[StoredPane]: ...
    def open_models(self) -> dict[str, int]: ...
    def fleet_panes(self, model: str, start: int, end: int) -> list[Pane]: ...
    def fleet_panes_of(self, model: str, minutes: Sequence[int]) -> list[Pane]: ...
    def model_state(self, model: str) -> ModelState | None: ...
    def seal(self, seal: Seal) -> None: ...
    def write_incidents(self, incidents: Sequence[tuple[Incident, str, int]]) -> None: ...
    def save_layout(self, layout_hash: str, model: str, document: Mapping[str, Any]) -> None: ...
    def incidents_of(self, keys: Collection[str]) -> list[Incident]: ...
    def incidents(self, model: str | None = None, *, only_open: bool = False, limit: int = 200) -> list[Incident]: ...
    def outbox(self, after: int, limit: int = 100) -> list[tuple[int, str, str, int]]: ...
    def mark_delivered(self, outbox_ids: Sequence[int]) -> None: ...
    def series(self, model: str, name: str, label: str, since_minute: int, limit: int = 5_000) -> list[Point]: ...
    def versions(self, model: str) -> list[tuple[str, int, int]]: ...
    def label_counts(self, model: str) -> dict[str, int]: ...
    def stored_rows(self) -> int: ...
    def commit_labels(
        self, labels: Sequence[Label], received_ns: int, rules: Rules | None = None, key: str = ""
    ) -> list[LabelReceipt]: ...
    def assume_labels(
        self, model: str, assumption: Assumption, watermark_ns: int, now_ns: int, limit: int
    ) -> tuple[int, bool]: ...
    def release_labels(self, model: str, sources: Sequence[str]) -> int: ...
    def join_labels(self, limit: int, told: Callable[[Sequence[LabelledCompletion]], None] | None = None) -> int: ...
    def outcome_cells(self, model: str, first_day: int, last_day: int) -> list[OutcomeCell]: ...
    def unjudged_cells(self, model: str, closed_by: int) -> list[OutcomeCell]: ...
    def predictions_per_day(self, model: str, first_day: int, last_day: int) -> dict[int, int]: ...
    def roll_up(self, model: str, before_minute: int) -> bool: ...
    def forget_predictions(self, model: str, before_ns: int, limit: int) -> int: ...
    def forget_pending(self, before_ns: int, limit: int) -> int: ...
    def forget_figures(self, model: str, keep: Keep, limit: int) -> int: ...
    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased: ...
    def close(self) -> None: ...
