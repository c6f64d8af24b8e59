"""Summing what recorders sent into what the fleet did. Integers: any order and split gives the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.records import Pane, PaneKey, Sample
from mlmon_sidecar.statistics.samples import INPUTS, merge_samples
from mlmon_sidecar.store.contract import StoredPane

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


@dataclass(frozen=True, slots=True)
class Delta:
    """What one minute gains under one layout, over all versions but shadows; or several minutes, looked at once."""

    minute: int  # the last of them
    vector: IntVector
    samples: Mapping[str, tuple[Sample, ...]]
    minutes: int = 1
    parts: Mapping[str, IntVector] = field(default_factory=dict)  # version -> its counts, shadows included
    inputs: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)  # version -> sampled inputs of its rows

    def __add__(self, other: Delta) -> Delta:
        """More of the same minute."""
        parts = {**self.parts}
        for version, vector in other.parts.items():
            parts[version] = parts[version] + vector if version in parts else vector
        inputs = {**self.inputs}
        for version, members in other.inputs.items():
            inputs[version] = merge_samples({INPUTS: inputs.get(version, ())}, {INPUTS: members})[INPUTS]
        samples = merge_samples(self.samples, other.samples)
        return Delta(self.minute, self.vector + other.vector, samples, self.minutes, parts, inputs)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a seal will write, and what it will feed to the evaluation."""

    consumed: tuple[int, ...]  # ids of the open panes
    panes: tuple[Pane, ...]  # whole fleet panes, an earlier seal's share included
    deltas: Mapping[str, tuple[Delta, ...]]  # layout hash -> minutes in order
    minutes: tuple[int, ...]
    before: Mapping[tuple[str, int], IntVector]  # (layout hash, minute) -> what earlier seals took of late minutes

    def whole(self, layout: str, delta: Delta) -> IntVector:
        """The minute's sum with what was sealed of it before."""
        earlier = self.before.get((layout, delta.minute))
        return delta.vector if earlier is None else delta.vector + earlier


def sum_panes(stored: Sequence[StoredPane], sealed: Sequence[Pane], shadow: Collection[str] = ()) -> Sums:
    """``sealed``: fleet panes already written of the same minutes (late panes add to them). ``shadow``: versions whose
    answers nobody gets; they are no part of what the model does."""
    gained: dict[PaneKey, Pane] = {}
    for item in stored:
        gained[item.pane.key] = add(gained.get(item.pane.key), item.pane)
    before = {pane.key: pane for pane in sealed}
    keys = sorted(gained, key=lambda key: (key.minute, key.version, key.segment, key.layout))
    return Sums(
        consumed=tuple(item.pane_id for item in stored),
        panes=tuple(add(before.get(key), gained[key]) for key in keys),
        deltas=minutes_of([gained[key] for key in keys], shadow),
        minutes=tuple(sorted({key.minute for key in keys})),
        before={
            (layout, delta.minute): delta.vector
            for layout, deltas in minutes_of(sealed, shadow).items()
            for delta in deltas
        },
    )


def minutes_of(panes: Iterable[Pane], shadow: Collection[str] = ()) -> dict[str, tuple[Delta, ...]]:
    """Layout hash to its minutes, over all versions, in the order they come in. Segments are part of all traffic."""
    minutes: dict[tuple[str, int], dict[str, Pane]] = {}
    for pane in panes:
        if pane.key.segment == "":
            versions = minutes.setdefault((pane.key.layout, pane.key.minute), {})
            versions[pane.key.version] = add(versions.get(pane.key.version), pane)
    by_layout: dict[str, list[Delta]] = {}
    for (layout, minute), versions in minutes.items():
        by_layout.setdefault(layout, []).append(_together(minute, versions, shadow))
    return {layout: tuple(deltas) for layout, deltas in by_layout.items()}


def _together(minute: int, versions: Mapping[str, Pane], shadow: Collection[str]) -> Delta:
    live = [pane for version, pane in versions.items() if version not in shadow]
    parts = {version: pane.vector for version, pane in versions.items()}
    inputs = {version: pane.samples.get(INPUTS, ()) for version, pane in versions.items()}
    if not live:
        return Delta(minute, np.zeros_like(next(iter(parts.values()))), {}, parts=parts, inputs=inputs)
    whole = reduce(add, live)
    return Delta(minute, whole.vector, whole.samples, parts=parts, inputs=inputs)


def add(left: Pane | None, right: Pane) -> Pane:
    """One addition and a union; the key is the left one's."""
    if left is None:
        return right
    return Pane(left.key, left.vector + right.vector, merge_samples(left.samples, right.samples))
