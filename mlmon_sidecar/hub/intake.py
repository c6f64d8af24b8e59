"""What comes in to the hub: flushes and labels. From any thread: it touches the store alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.errors import WireError
from mlmon_sidecar.hub.label_privacy import LabelPrivacy
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.records import MINUTE_NS, DropReason, Flush, FlushReceipt, Label, LabelReceipt, Pane
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.label_rules import LabelRule
from mlmon_sidecar.telemetry import Telemetry

AHEAD_MINUTES = 2  # clocks of one fleet may differ by so much; a pane dated later is not taken
LAYOUTS_KNOWN = 1_024  # sizes remembered of layouts that recorders brought


class Intake:
    """Commits what is fit to be committed."""

    def __init__(self, store: Store, clock: Clock, telemetry: Telemetry, privacy: LabelPrivacy) -> None:
        self._store, self._clock, self._telemetry = store, clock, telemetry
        self.privacy = privacy
        self._sizes: dict[str, int] = {}  # by layout
        self._rules: dict[str, LabelRule] = {}  # by model

    def expect(self, plan: ModelPlan) -> None:
        """Panes and labels of a model from now on."""
        self._sizes[plan.layout.hash] = plan.layout.size
        self._rules[plan.name] = plan.label_rule

    def flush(self, flush: Flush) -> FlushReceipt:
        """Raises ``WireError`` and ``StoreError``: nothing of it is taken."""
        now_ns = self._clock.unix_ns()
        return self._store.commit_flush(self._without_future(flush, now_ns), now_ns)

    def require_sizes(self, panes: Sequence[Pane]) -> None:
        """Raises ``WireError`` where a pane is not as long as its layout."""
        for pane in panes:
            known = self._sizes.get(pane.key.layout)
            if known is None:
                if len(self._sizes) < LAYOUTS_KNOWN:
                    self._sizes[pane.key.layout] = len(pane.vector)
            elif len(pane.vector) != known:
                raise WireError(
                    "a pane does not have the size of its layout", code="pane_size", hint="Run one version of mlmon."
                )

    def labels(self, labels: Sequence[Label], key: str, place: tuple[str, str] | None) -> Sequence[LabelReceipt]:
        """One receipt for each, in their order. ``key`` tells a request that is sent again ("": no); ``place`` is kept
        with them (``Store.place``)."""
        cleaned = self.privacy.clean(labels)
        fit = [item for item in cleaned if isinstance(item, Label)]
        taken = self._store.commit_labels(fit, self._clock.unix_ns(), self._rules, key, place) if fit or place else ()
        committed = iter(taken)
        receipts = [next(committed) if isinstance(item, Label) else item for item in cleaned]
        # Back to the caller goes the id as it came.
        return [receipt._replace(id=label.id) for receipt, label in zip(receipts, labels, strict=True)]

    def _without_future(self, flush: Flush, now_ns: int) -> Flush:
        """One pane of the year 2100 would set the watermark there, and every other pane would be late for ever."""
        last = now_ns // MINUTE_NS + AHEAD_MINUTES
        panes = tuple(pane for pane in flush.panes if pane.key.minute <= last)
        rows = flush.rows.rows
        times = rows.column("event_ns")
        if max(times, default=0) // MINUTE_NS > last:
            rows = rows.picked([at for at, event_ns in enumerate(times) if event_ns // MINUTE_NS <= last])
        lost: Mapping[str, int] = {
            names.PANES_DROPPED_PREFIX: len(flush.panes) - len(panes),
            names.ROWS_DROPPED_PREFIX: len(flush.rows.rows) - len(rows),
        }
        if not any(lost.values()):
            return flush
        self._telemetry.warn(
            "clock_skew", f"{flush.origin} sends predictions dated ahead of this hub's clock; they are not taken"
        )
        counted = {prefix + DropReason.CLOCK_SKEW: count for prefix, count in lost.items() if count}
        counters = {**flush.counters, **{name: flush.counters.get(name, 0) + n for name, n in counted.items()}}
        return replace(flush, panes=panes, rows=replace(flush.rows, rows=rows), counters=counters)
