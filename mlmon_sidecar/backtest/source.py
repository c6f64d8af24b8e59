"""Where a history comes from: a file of predictions, or the store of a hub."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mlmon_sidecar.backtest.history import read_history
from mlmon_sidecar.backtest.labels import Gain, Labels, gains, labels_beside, read_labels
from mlmon_sidecar.backtest.panes import row_deltas, stored_deltas
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.outcomes.slices import closing_day

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.document import Baseline
    from mlmon_sidecar.decode.options import DecodeOptions
    from mlmon_sidecar.hub.seal import Delta
    from mlmon_sidecar.redact.redactor import Redactor
    from mlmon_sidecar.statistics.layout import Layout
    from mlmon_sidecar.store import Store

DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """One history, ready to be replayed.

    Attributes:
        deltas: to be taken once.
        known: labels.
        rows: in all; None: not known before.
        skipped: what could not be used, in words, and how many.
        notes: one sentence each.
    """

    deltas: Iterable[Delta]
    known: Sequence[Gain] = ()
    rows: int | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


def rows_source(
    data: Path,
    labels: Path | None,
    said: Roles,
    baseline: Baseline,
    options: DecodeOptions,
    redactor: Redactor,
    *,
    minutes: int,
) -> Source:
    """A file of predictions, counted here; ``minutes`` (1 or 60) a pane. Raises ``BaselineError``."""
    # The label column that was named is the labels' own where these come in a file.
    of_data = said if labels is None else Roles(said.timestamp, said.id, said.prediction, said.score)
    history = read_history(data, of_data, baseline.roles, baseline.layout, options)
    joined = Labels()
    if labels is not None:
        joined = read_labels(labels, history.batch, said, baseline.roles)
    elif history.labels is not None:
        joined = labels_beside(history.batch, history.labels)
    return Source(
        deltas=row_deltas(history.batch, baseline.layout, redactor.category, minutes),
        known=gains(history.batch, joined.said, redactor),
        rows=history.batch.rows,
        skipped={
            "lines that are no rows": history.bad_lines,
            "rows without a time that can be read": history.bad_times,
            "rows behind a later one, put in order": history.late,
            "labels of predictions that are not here": joined.unknown,
            "labels without an id, a label or a time": joined.bad,
        },
        notes=(*history.notes, *joined.notes),
    )


def store_source(store: Store, model: str, layout: Layout, shadow: Collection[str] = ()) -> Source:
    """What a hub has sealed, by the hour, with the labels it has joined; a corrected label counts as corrected from
    the start. ``shadow``: versions that are compared alone. Raises ``StoreError``: ``no_history``, ``other_layout``."""
    state = store.model_state(model)
    if state is None:
        raise StoreError(
            f"the store holds nothing of model {model!r}",
            code="no_history",
            hint="The baseline names the model; check that both are of the same service.",
        )
    deltas = stored_deltas(store, model, layout.hash, shadow)
    first = next(deltas, None)
    if first is None:
        raise StoreError(
            f"nothing the store holds of model {model!r} was counted under this baseline's layout",
            code="other_layout",
            hint="Counts cannot be cut anew: replay the rows, or give the baseline that served.",
        )
    cells = store.outcome_cells(model, 0, state.watermark // 1440)
    return Source(
        deltas=chain((first,), deltas),
        known=[Gain((closing_day(cell.day, cell.age) - 1) * DAY_NS, cell) for cell in cells],
    )
