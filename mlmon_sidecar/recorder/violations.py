"""Broken schemas, told: counted for ever, said now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.aggregate.schema import SchemaWatch, Violation, Wrong
from mlmon_sidecar.interfaces import Clock, Telling
from mlmon_sidecar.records import Event, Measurement, PredictionBatch, Severity
from mlmon_sidecar.statistics.schema import ExpectedSchema
from mlmon_sidecar.telemetry import Telemetry

QUIET_NS = 60_000_000_000  # one event a minute about one column and what is wrong with it
MAX_NAME = 128  # characters of a column's name that are told
MAX_REMEMBERED = 1_024  # of these; then the memory starts afresh


class Violations:
    """Of all models of one process."""

    def __init__(
        self, expected: Mapping[str, ExpectedSchema], telemetry: Telemetry, clock: Clock, telling: Telling | None
    ) -> None:
        self._watches = {model: SchemaWatch(schema) for model, schema in expected.items()}
        self._telemetry = telemetry
        self._clock = clock
        self._telling = telling
        self._rows: Counter[tuple[str, str, str]] = Counter()  # model, version, kind
        self._told_ns: dict[tuple[str, str, str], int] = {}

    def expect(self, model: str, schema: ExpectedSchema) -> None:
        """From here on."""
        self._watches[model] = SchemaWatch(schema)

    def look(self, batch: PredictionBatch, shown: Callable[[str], str]) -> None:
        """``shown`` makes a text fit to be told: a client chooses the names of additional columns."""
        for violation in self._watches[batch.model].look(batch):
            self._count(batch.model, batch.version, violation, shown(violation.feature))

    def width(self, model: str, version: str, rows: int) -> None:
        """Rows of nameless values came with more or fewer of them than names are expected."""
        self._count(model, version, Violation(Wrong.WIDTH, "", rows, "more or fewer values than names"), "")

    def measurements(self) -> Sequence[Measurement]:
        return [
            Measurement(
                "mlmon.schema.violations",
                rows,
                (("mlmon.model.name", model), ("mlmon.model.version", version), ("mlmon.schema.violation", kind)),
            )
            for (model, version, kind), rows in self._rows.copy().items()
        ]

    def _count(self, model: str, version: str, violation: Violation, feature: str) -> None:
        self._rows[model, version, violation.kind] += violation.rows
        self._telemetry.add(names.SCHEMA_PREFIX + violation.kind, violation.rows)
        self._tell(model, version, violation, feature[:MAX_NAME])

    def _tell(self, model: str, version: str, violation: Violation, feature: str) -> None:
        now, subject = self._clock.monotonic_ns(), (model, violation.kind, violation.feature)
        told = self._told_ns.get(subject)
        if told is not None and now - told < QUIET_NS:
            return
        if len(self._told_ns) >= MAX_REMEMBERED:
            self._told_ns.clear()
        self._told_ns[subject] = now
        kind = violation.kind.replace("_", " ") + (f" in {feature!r}" if feature else "")
        sentence = f"{model} {version}: {kind}, {violation.rows} rows ({violation.detail})"
        self._telemetry.warn(f"schema {model}", sentence)
        if self._telling is not None:
            self._telling.event(
                Event(
                    name="mlmon.schema.violation",
                    body=sentence,
                    at_ns=self._clock.unix_ns(),
                    severity=Severity.WARN,
                    attributes=(
                        ("mlmon.model.name", model),
                        ("mlmon.model.version", version),
                        ("mlmon.feature.name", feature),
                        ("mlmon.schema.violation", violation.kind.value),
                        ("mlmon.schema.rows", violation.rows),
                    ),
                )
            )
