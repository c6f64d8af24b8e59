"""A small model with a baseline, traffic for it, and a hub whose clock a test moves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.hub.hub import Hub, HubOptions
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.records import MINUTE_NS, Event, Flush, KeptRow, KeptRows, Pane, PredictionBatch, RedactedRows
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.store import Store, open_store
from mlmon_sidecar.telemetry import Telemetry

DAY_MINUTES = 1440
START = 20_000 * DAY_MINUTES  # midnight, as Unix minute
AHEAD_MINUTES = 120 * DAY_MINUTES  # what is fed is past
EDGES = tuple(float(x) for x in range(-2, 3))
LAYOUT = Layout(
    "m",
    (
        NumericFeature("x", EDGES, (1, 2, 3), -3.0, 3.0, 0.0, 1.0),
        CategoricalFeature("town", ("A", "B"), alarm=2),
    ),
    PredictionSpace("binary", ("no", "yes"), "yes", (0.25, 0.5, 0.75), (1,), 0.5, 0.25, threshold=0.5),
)
OPTIONS = DecodeOptions("m", kind="binary", positive="yes", negative="no")


def same(_name: str, token: str) -> str:
    return token


class FakeClock:
    """Monotonic time in seconds a test sets; event time runs beside it, ahead of all that the tests feed."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic_ns(self) -> int:
        return int(self.seconds * 1e9)

    def unix_ns(self) -> int:
        return self.unix_at(self.monotonic_ns())

    def unix_at(self, monotonic_ns: int) -> int:
        return (START + AHEAD_MINUTES) * MINUTE_NS + monotonic_ns


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def moves(self) -> list[tuple[object, object]]:
        """(key, transition), in the order told."""
        return [
            (dict(e.attributes)["mlmon.alert.key"], dict(e.attributes)["mlmon.alert.transition"])
            for e in self.events
            if e.name == "mlmon.alert"
        ]


def batch(minutes: Sequence[int], seed: int = 0, *, score: float | None = None, **columns: Any) -> PredictionBatch:
    """One row for each entry of ``minutes``."""
    rng, rows = np.random.default_rng(seed), len(minutes)
    made = batch_from_columns(
        "m", now_ns=0, options=OPTIONS, scores=rng.uniform(size=rows).tolist() if score is None else [score] * rows,
        features={"x": rng.normal(size=rows).tolist(), "town": rng.choice(["A", "B"], rows).tolist(), **columns},
    )  # fmt: skip
    return replace(made, event_ns=np.array(minutes, np.int64) * MINUTE_NS)


def panes(*batches: PredictionBatch, version: str = "v1", layout: Layout = LAYOUT) -> list[Pane]:
    builder = PaneBuilder(layout, same)
    for item in batches:
        builder.add_batch(replace(item, version=version))
    return builder.take()


def traffic(minute: int, rows: int = 20, seed: int | None = None, version: str = "v1", **more: Any) -> Pane:
    """One minute."""
    (pane,) = panes(batch([minute] * rows, minute if seed is None else seed, **more), version=version)
    return pane


@cache
def baseline() -> Baseline:
    vector = panes(batch([0] * 8_000, seed=7))[0].vector
    reference = Reference(
        LAYOUT.hash, "v0", vector, hours=800, tau={"*": 0.0}, calibration=(0.1, 0.3, 0.7, 0.9), calibration_rows=8_000,
        confusion=((450, 50), (50, 450)),
    )  # fmt: skip
    return Baseline(LAYOUT, reference, created="2024-01-01T00:00:00+00:00", rows=8_000)


def plan(**changes: Any) -> ModelPlan:
    return ModelPlan(**{"name": "m", "layout": LAYOUT, "baseline": baseline(), "horizon_days": 3, **changes})


class Watched:
    """A hub on a store in ``folder``, and recorders that speak to it."""

    def __init__(self, folder: Path, plans: Sequence[ModelPlan] | None = None, **options: Any) -> None:
        self.folder, self.clock, self.told = folder, FakeClock(), Told()
        self._plans, self._options = [plan()] if plans is None else plans, options
        self.numbers: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        """A hub anew, as after a restart."""
        self.telemetry = Telemetry()
        self.store: Store = open_store(f"sqlite:///{self.folder / 'mlmon.db'}")
        self.hub = Hub(
            self.store, self._plans, self.clock, self.telemetry, HubOptions(**self._options), telling=self.told
        )

    def restart(self) -> None:
        self.hub.close()
        self.open()

    def flush(
        self,
        *sent: Pane,
        through: int | Mapping[str, int] = -1,
        recorder: str = "r1",
        rows: Sequence[KeptRow] = (),
        counters: Mapping[str, int] | None = None,
        closing: bool = False,
    ) -> None:
        """The recorder's next flush; ``through`` is of the model "m" where it is a number."""
        complete = {"m": through} if isinstance(through, int) else through
        for panes_ in ((), sent) if recorder not in self.numbers else (sent,):
            seq = self.numbers[recorder] = self.numbers.get(recorder, 0) + 1
            last = seq > 1
            self.hub.flush(
                Flush(
                    recorder,
                    seq,
                    tuple(panes_),
                    RedactedRows(KeptRows.of(rows if last else ())),
                    counters or {} if last else {},
                    complete if last else dict.fromkeys(complete, -1),
                    0,
                    closing and last,
                    "host:1",
                )
            )

    @property
    def watermark(self) -> int:
        state = self.store.model_state("m")
        return -1 if state is None else state.watermark


def kept(prediction_id: str, minute: int, predicted: str | None = "yes", version: str = "v1") -> KeptRow:
    return KeptRow(prediction_id, "m", version, "", minute * MINUTE_NS, 0.9, predicted, None, None, "", "", "{}")
