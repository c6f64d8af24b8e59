"""Small whole things to put into a store."""

from collections.abc import Mapping, Sequence

import numpy as np

from mlmon_sidecar.records import (
    Flush,
    Incident,
    KeptRow,
    KeptRows,
    Label,
    Layer,
    Pane,
    PaneKey,
    RedactedRows,
    Sample,
    Tier,
)

DAY_NS = 86_400 * 1_000_000_000


def pane(
    minute: int, *counts: int, model: str = "m", version: str = "v1", segment: str = "", layout: str = "l"
) -> Pane:
    samples = {"inputs": (Sample(minute, ""), Sample(minute + 1, "é\x1b"))}
    return Pane(PaneKey(model, version, segment, layout, minute), np.array(counts or (1, 2), np.int64), samples)


def row(
    prediction_id: str,
    *,
    event_ns: int = 0,
    model: str = "m",
    version: str = "v1",
    alias: str | None = None,
    predicted: str | None = "yes",
) -> KeptRow:
    return KeptRow(prediction_id, model, version, "", event_ns, 0.25, predicted, None, alias, "", "", "{}")


def flush(
    seq: int,
    panes: Sequence[Pane] = (),
    rows: Sequence[KeptRow] = (),
    counters: Mapping[str, int] | None = None,
    *,
    recorder: str = "r1",
    through: Mapping[str, int] | None = None,
    closing: bool = False,
) -> Flush:
    return Flush(
        recorder,
        seq,
        tuple(panes),
        RedactedRows(KeptRows.of(rows)),
        counters or {},
        through or {},
        0,
        closing,
        "host:7",
    )


def label(id_: str, said: str, observed_ns: int = 0, model: str = "") -> Label:
    return Label(id_, said, observed_ns, model, "test")


def incident(opened: int, *, rule: str = "collapse", model: str = "m", resolved: int | None = None) -> Incident:
    return Incident(
        f"{model}:{rule}:{opened}", model, rule, Layer.PREDICTION, Tier.P1, opened, resolved, "all are 'yes'", 1.5,
        ("prediction",), True, {"waiting": ["prediction"], "rows": 120, "nats": None, "deep": {"a": [1.5, True]}},
    )  # fmt: skip
