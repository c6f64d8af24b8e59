"""The story as data: what is sent in each phase, for how long, and why for so long.

Every phase lasts whole days of scaled time, so that figures kept per day add up per phase.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from mlmon_sidecar.demo.data import Loans, Row

ROWS_PER_DAY = 480  # 20 an hour: sequential detection sees every hour of the profile, and 22 days fit in a minute
HEALTHY_DAYS = 5  # 2,400 rows: long enough that a detector that is too eager would raise a false alarm
DRIFTING_DAYS = 4  # 1,920 rows: the least of the four drifts (salary_range) shows after 550, the others after 80 to 320
NULL_BURST_DAYS = (
    3  # 1,440 rows, otherwise healthy: the drifts' incidents close after 200 to 900, the nulls' stays open
)
COLLAPSE_DAYS = 1  # 480 rows: more than 100 are needed, and each wrong answer keeps quality down for longer
RECOVERY_DAYS = 9  # 4,320 rows: inputs and scores need 1,000 to close, the strictest tier of quality 3,000 labels
NULL_COLUMN = "size_of_downpayment"  # the model hardly needs it, so the nulls alone are what is wrong
NULL_SHARE = 0.6
STUCK_AT = 0.735_201  # one ordinary answer, for ever
SEED = 20_181_030  # which rows lose their value


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of the story."""

    name: str
    days: int  # of scaled time
    says: str  # what is done to the model, in one sentence
    drifted: bool = False  # rows of the drifted part of the data
    nulls: bool = False  # ``NULL_COLUMN`` is null in ``NULL_SHARE`` of the rows
    stuck_at: float | None = None  # the model answers this whatever it is asked

    @property
    def rows(self) -> int:
        return self.days * ROWS_PER_DAY


PHASES = (
    Phase("healthy", HEALTHY_DAYS, "ordinary traffic, distributed like the reference"),
    Phase("drifting", DRIFTING_DAYS, "the applicants themselves change: dearer cars, longer loans", drifted=True),
    Phase(
        "null_burst", NULL_BURST_DAYS, f"an upstream job loses {NULL_COLUMN} in {NULL_SHARE:.0%} of rows", nulls=True
    ),
    Phase("collapse", COLLAPSE_DAYS, "the model is stuck and answers one score to everyone", stuck_at=STUCK_AT),
    Phase("recovery", RECOVERY_DAYS, "everything is mended, ordinary traffic again"),
)
TOTAL_DAYS = sum(phase.days for phase in PHASES)
TOTAL_ROWS = sum(phase.rows for phase in PHASES)


def assign(loans: Loans, phases: Sequence[Phase] = PHASES) -> Mapping[str, tuple[Row, ...]]:
    """The rows of each phase by its name, in the order of the data; no row is sent twice.

    Raises ``ValueError`` when the data has too few rows.
    """
    healthy, drifted = iter(loans.healthy), iter(loans.drifted)
    assigned = {phase.name: tuple(islice(drifted if phase.drifted else healthy, phase.rows)) for phase in phases}
    short = [phase.name for phase in phases if len(assigned[phase.name]) < phase.rows]
    if short:
        raise ValueError(f"too few rows for {', '.join(short)}")
    spoilt = {phase.name: with_nulls(assigned[phase.name]) for phase in phases if phase.nulls}
    return assigned | spoilt


def with_nulls(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with ``NULL_COLUMN`` null in about ``NULL_SHARE`` of them, the same ones each time."""
    choose = random.Random(SEED)  # noqa: S311 - which rows lose a value is no secret
    return tuple(
        Row(row.id, {**row.features, NULL_COLUMN: None}) if choose.random() < NULL_SHARE else row for row in rows
    )


def ordinary_days(loans: Loans) -> Iterator[tuple[Row, ...]]:
    """Healthy rows for ever, one day's at a time: what is replayed while someone looks at the page."""
    rows = cycle(loans.healthy)
    while True:
        yield tuple(islice(rows, ROWS_PER_DAY))
