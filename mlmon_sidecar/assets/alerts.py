"""What is worth an alert. Prometheus rules and Datadog monitors are made from the same table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlmon_sidecar.assets.query import How, Pairs, Query
from mlmon_sidecar.export.catalog import (
    ALERT_RULE,
    COMPONENT,
    DROP_KIND,
    DROP_REASON,
    ERROR_TYPE,
    MODEL_NAME,
    REQUEST_OUTCOME,
    SIGNAL,
)

Comparison = Literal[">", ">=", "<", "==", "<="]


@dataclass(frozen=True, slots=True)
class Series:
    """Of a test: attributes, and values a minute in the notation of promtool (``0+60x30``)."""

    attributes: Pairs
    values: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds for ``minutes``. ``fires`` and ``quiet`` are series that show it."""

    name: str
    query: Query
    comparison: Comparison
    threshold: float
    minutes: int
    severity: Literal["critical", "warning", "info"]
    sentence: str  # "{mlmon.model.name}" is that attribute's value
    advice: str
    fires: tuple[Series, ...]
    quiet: tuple[Series, ...]
    window_minutes: int = 5  # of rates


_FRAUD = (MODEL_NAME, "fraud")
_RULE = (ALERT_RULE, "feature_drift")
_ADVICE = "Open the monitor's page or the dashboard mlmon: overview, and follow the incident to its features."


def _incident(tier: int, comparison: Comparison, severity: Literal["critical", "warning", "info"]) -> Alert:
    value = 4 - tier
    other = "0x60" if tier == 1 else f"{value - 1}x60"
    return Alert(
        name=f"MlmonIncidentP{tier}",
        query=Query("mlmon.alert.state", How.MAX, (MODEL_NAME, ALERT_RULE)),
        comparison=comparison,
        threshold=value,
        minutes=0,
        severity=severity,
        sentence=f"{{{MODEL_NAME}}} has an open P{tier} incident of the rule {{{ALERT_RULE}}}.",
        advice=_ADVICE,
        fires=(Series((_FRAUD, _RULE), f"{value}x60"),),
        quiet=(Series((_FRAUD, _RULE), other),),
    )


ALERTS = (
    _incident(1, ">=", "critical"),
    _incident(2, "==", "warning"),
    _incident(3, "==", "info"),
    Alert(
        name="MlmonServerErrors",
        query=Query("mlmon.requests", How.SHARE, (MODEL_NAME,), ((REQUEST_OUTCOME, "server_error"),)),
        comparison=">",
        threshold=0.05,
        minutes=5,
        severity="critical",
        sentence=f"More than 5% of the requests to {{{MODEL_NAME}}} fail.",
        advice="The examples of failed requests on the monitor's page name status and exception.",
        fires=(
            Series((_FRAUD, (REQUEST_OUTCOME, "ok")), "0+90x60"),
            Series((_FRAUD, (REQUEST_OUTCOME, "server_error")), "0+10x60"),
        ),
        quiet=(
            Series((_FRAUD, (REQUEST_OUTCOME, "ok")), "0+99x60"),
            Series((_FRAUD, (REQUEST_OUTCOME, "server_error")), "0+1x60"),
        ),
    ),
    Alert(
        name="MlmonNoRequests",
        query=Query("mlmon.requests", How.RATE, (MODEL_NAME,)),
        comparison="<=",
        threshold=0,
        minutes=15,
        severity="warning",
        sentence=f"{{{MODEL_NAME}}} is asked for no predictions.",
        advice="Nothing can be said of a model without traffic. Is it routed to, and does it still take requests?",
        fires=(Series((_FRAUD, (REQUEST_OUTCOME, "ok")), "100x60"),),
        quiet=(Series((_FRAUD, (REQUEST_OUTCOME, "ok")), "0+1x60"),),
    ),
    Alert(
        name="MlmonRecordsDropped",
        query=Query("mlmon.self.dropped", How.RATE, (DROP_KIND, DROP_REASON), ((DROP_REASON, "queue_full"),)),
        comparison=">",
        threshold=0,
        minutes=5,
        severity="warning",
        sentence=f"Records ({{{DROP_KIND}}}) are lost because a queue is full.",
        advice="The monitor sees only part of the traffic: raise queue_max_bytes, or ship raw to a hub of its own.",
        fires=(Series(((DROP_KIND, "exchange"), (DROP_REASON, "queue_full")), "0+5x60"),),
        quiet=(
            Series(((DROP_KIND, "exchange"), (DROP_REASON, "queue_full")), "7x60"),
            Series(((DROP_KIND, "exchange"), (DROP_REASON, "not_json")), "0+5x60"),
        ),
    ),
    Alert(
        name="MlmonFaults",
        query=Query("mlmon.self.errors", How.RATE, (COMPONENT, ERROR_TYPE)),
        comparison=">",
        threshold=0,
        minutes=10,
        severity="warning",
        sentence=f"The monitor's part {{{COMPONENT}}} keeps failing with {{{ERROR_TYPE}}}.",
        advice="The application is not affected. Set the logger mlmon_sidecar to DEBUG to see where.",
        fires=(Series(((COMPONENT, "decode"), (ERROR_TYPE, "KeyError")), "0+1x60"),),
        quiet=(Series(((COMPONENT, "decode"), (ERROR_TYPE, "KeyError")), "1x60"),),
    ),
    Alert(
        name="MlmonExportFailing",
        query=Query("mlmon.self.export.failures", How.RATE, (SIGNAL, ERROR_TYPE)),
        comparison=">",
        threshold=0,
        minutes=15,
        severity="warning",
        sentence=f"Exports of {{{SIGNAL}}} fail with {{{ERROR_TYPE}}}.",
        advice="Run mlmon doctor where the application runs.",
        fires=(Series(((SIGNAL, "logs"), (ERROR_TYPE, "503")), "0+1x60"),),
        quiet=(Series(((SIGNAL, "logs"), (ERROR_TYPE, "503")), "3x60"),),
    ),
    Alert(
        name="MlmonNoHub",
        query=Query("mlmon.self.hub.leader", How.SUM),
        comparison="<",
        threshold=1,
        minutes=5,
        severity="critical",
        sentence="No process is the hub: nothing is evaluated, and no incident can be opened.",
        advice="Look for an error about the store in the application's log, or start mlmon hub.",
        fires=(Series((), "0x60"),),
        quiet=(Series((), "1x60"),),
    ),
    Alert(
        name="MlmonNothingSealed",
        query=Query("mlmon.self.aggregate.age", How.MAX, (MODEL_NAME,)),
        comparison=">",
        threshold=900,
        minutes=5,
        severity="warning",
        sentence=f"No minute of {{{MODEL_NAME}}} has been sealed for a quarter of an hour.",
        advice="A process that died without a word may hold the others back, or the hub cannot write its store.",
        fires=(Series((_FRAUD,), "1000x60"),),
        quiet=(Series((_FRAUD,), "90x60"),),
    ),
    Alert(
        name="MlmonFlushLag",
        query=Query("mlmon.self.flush.lag", How.MAX),
        comparison=">",
        threshold=60,
        minutes=5,
        severity="warning",
        sentence="A process has waited for the hub for more than a minute.",
        advice="Counts are kept and handed over later; they are forgotten, oldest first, when too many wait.",
        fires=(Series((), "100x60"),),
        quiet=(Series((), "2x60"),),
    ),
)
