"""A baseline from what a service has served: proposed, never counted by before somebody approves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlmon_sidecar.baseline.build import build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.config import Loaded, Settings, load
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import Incident, Tier
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.runtime.assembly import redaction_policy
from mlmon_sidecar.runtime.baselines import purpose_of
from mlmon_sidecar.runtime.wiring import make_clock
from mlmon_sidecar.store import Store, open_store, require_store
from mlmon_sidecar.store.contract import SampledRow

MIN_ROWS = 1_000
MIN_HOURS = 24
MAX_ROWS = 50_000
HOUR_NS = 3_600_000_000_000
TIME, SCORE, PREDICTED, LABEL = "mlmon.time", "mlmon.score", "mlmon.predicted", "mlmon.label"
SEGMENT = "mlmon.segment"


def learn_baseline(
    config: Path | None,
    model: str = "",
    *,
    hours: int = 7 * 24,
    min_rows: int = MIN_ROWS,
    min_hours: int = MIN_HOURS,
    healthy: bool = True,
    progress: Callable[[float], None] = lambda part: None,
) -> Baseline:
    """Build a baseline from the kept rows of the last ``hours``: at most 50,000 of them, chosen by their ids.

    Features are those that ``privacy.store_features`` names; labels that came are used. Labels say how good the model
    was, so the later it is learned the more it knows.

    Args:
        model: where several are configured.
        hours: 1 or more, back from now.
        min_rows, min_hours: fewer rows, or rows from less time, are not taken for normal.
        healthy: whether a time with an urgent incident is refused.

    Raises:
        BaselineError: ``learn_rows``, ``learn_span`` or ``learn_health``: what is there is too little, too short, or
            was not healthy; and what building raises.
        StoreError: ``no_store``.
    """
    loaded = load(config)
    name = model or _only(loaded)
    since = make_clock(loaded.settings).unix_ns() - hours * HOUR_NS
    require_store(loaded.settings.store)
    store = open_store(loaded.settings.store)
    try:
        rows = store.sample(name, since, MAX_ROWS)
        _require_enough(name, rows, min_rows, min_hours)
        if healthy:
            _require_healthy(name, store, rows)
    finally:
        store.close()
    learned = learner(loaded.settings, Redactor(redaction_policy(loaded.settings)), progress)
    return learned(name, rows)


def learner(
    settings: Settings, redactor: Redactor, progress: Callable[[float], None] = lambda part: None
) -> Callable[[str, Sequence[SampledRow]], Baseline]:
    """Builds a baseline of a model's kept rows, as this configuration reads it. Raises ``BaselineError``."""

    def build(model: str, rows: Sequence[SampledRow]) -> Baseline:
        columns = columns_of(rows)
        roles = Roles(
            timestamp=TIME,
            prediction=PREDICTED if PREDICTED in columns else "",
            score=SCORE if SCORE in columns else "",
            label=LABEL if LABEL in columns else "",
            segment=SEGMENT if SEGMENT in columns else "",
        )
        learned = build_baseline(
            columns, roles, purpose_of(model, settings.captured()[model]), redact_category=redactor.category,
            policy=redactor.policy.hash, created=datetime.now(UTC).isoformat(timespec="seconds"), progress=progress,
        )  # fmt: skip
        return learned.named(source="served traffic", version=rows[-1].version)

    return build


def columns_of(rows: Sequence[SampledRow]) -> dict[str, list[object]]:
    """Whole columns; None where a row has no such feature."""
    names = sorted({name for row in rows for name in row.features})
    columns: dict[str, list[object]] = {name: [row.features.get(name) for row in rows] for name in names}
    columns[TIME] = [row.event_ns for row in rows]
    columns[SCORE] = [row.score for row in rows]
    columns[PREDICTED] = [row.predicted for row in rows]
    columns[LABEL] = [row.label for row in rows]
    columns[SEGMENT] = [row.segment or None for row in rows]
    return {name: column for name, column in columns.items() if any(value is not None for value in column)}


def _require_enough(model: str, rows: Sequence[SampledRow], min_rows: int, min_hours: int) -> None:
    if len(rows) < min_rows:
        raise BaselineError(
            f"{len(rows)} rows of {model} are kept, {min_rows} are needed",
            code="learn_rows",
            hint="Wait, or raise `keep`; --min-rows takes fewer.",
        )
    span = (rows[-1].event_ns - rows[0].event_ns) / HOUR_NS
    if span < min_hours:
        raise BaselineError(
            f"the rows of {model} span {span:.1f} hours, {min_hours} are needed",
            code="learn_span",
            hint="A day is not like the next one. Wait; --min-hours takes less.",
        )


def _require_healthy(model: str, store: Store, rows: Sequence[SampledRow]) -> None:
    """No page and no urgent incident within the rows' time: what went wrong then would be the new normal."""
    first, last = rows[0].event_ns // (HOUR_NS // 60), rows[-1].event_ns // (HOUR_NS // 60)
    urgent = [incident for incident in store.incidents(model) if _concerns(incident, first, last)]
    if urgent:
        raise BaselineError(
            f"{model} was not healthy: {urgent[0].summary} [{urgent[0].rule}]",
            code="learn_health",
            hint="Learn from the time after it: give fewer --hours.",
        )


def _concerns(incident: Incident, first: int, last: int) -> bool:
    ended = incident.resolved_minute
    return incident.tier <= Tier.P2 and incident.opened_minute <= last and (ended is None or ended >= first)


def _only(loaded: Loaded) -> str:
    names = sorted(loaded.settings.captured())
    if len(names) > 1:
        raise BaselineError(
            f"several models are configured: {', '.join(names)}", code="model_needed", hint="Name one with --model."
        )
    return names[0]
