"""Every row of the tables obeys the naming rules; the tables load nothing heavy."""

import re
import subprocess
import sys

import pytest
from opentelemetry.semconv._incubating.metrics import hw_metrics, process_metrics

from mlmon_sidecar.export.catalog import CATALOG, EVENTS, MAX_ATTRIBUTES, EventType, Kind, Metric
from mlmon_sidecar.records import Severity

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
UCUM = {"1", "s", "By", "Cel", "W"}
ANNOTATION = re.compile(r"\{[a-z_]+\}")
FOREIGN_ATTRIBUTES = {"error.type", "cpu.mode", "hw.id", "hw.name", "hw.type"}

metrics = pytest.mark.parametrize("metric", CATALOG.values(), ids=lambda metric: metric.name)
events = pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)


@metrics
def test_names_are_ours_or_of_a_convention(metric: Metric) -> None:
    assert NAME.fullmatch(metric.name)
    assert metric.name.startswith(("mlmon.", "process.", "system.", "gen_ai.", "hw."))
    assert "total" not in metric.name.split(".") and not metric.name.endswith("_total")


@metrics
def test_units(metric: Metric) -> None:
    assert metric.unit in UCUM or ANNOTATION.fullmatch(metric.unit)
    if metric.name.endswith((".ratio", "_ratio")):
        assert metric.unit == "1"
    if metric.name.endswith((".score", ".evidence")):
        assert metric.unit == "{score}"
    if metric.name.endswith((".age", ".lag", ".duration", ".time", ".uptime")):
        assert metric.unit == "s"
    if metric.unit == "1":
        assert metric.kind is Kind.GAUGE, "a fraction cannot be summed"


@metrics
def test_attributes_are_few_and_known(metric: Metric) -> None:
    assert len(metric.attributes) <= MAX_ATTRIBUTES
    assert len(set(metric.attributes)) == len(metric.attributes)
    for key in metric.attributes:
        assert NAME.fullmatch(key) and (key.startswith(("mlmon.", "gen_ai.", "system.")) or key in FOREIGN_ATTRIBUTES)


@metrics
def test_prometheus_names_do_not_collide(metric: Metric) -> None:
    flat = [name.replace(".", "_") for name in CATALOG]
    assert flat.count(metric.name.replace(".", "_")) == 1


@metrics
def test_descriptions_are_sentences(metric: Metric) -> None:
    assert metric.description[0].isupper() or metric.description[0].isdigit()
    assert metric.description.endswith(".")


@pytest.mark.parametrize("name", [name for name in CATALOG if name.startswith(("process.", "hw."))])
def test_process_and_hardware_figures_are_those_of_the_conventions(name: str) -> None:
    constant = name.upper().replace(".", "_")
    conventions = process_metrics if name.startswith("process.") else hw_metrics
    assert getattr(conventions, constant) == name
    created: dict[str, tuple[str, str]] = {}

    class Meter:
        def __getattr__(self, method: str):
            def create(name: str, description: str, unit: str, callbacks: object = None) -> None:
                created[name] = (method, unit)

            return create

    create = getattr(conventions, f"create_{constant.lower()}")
    create(Meter(), []) if CATALOG[name].kind is Kind.GAUGE else create(Meter())
    kinds = {Kind.COUNTER: "create_counter", Kind.UPDOWN: "create_up_down_counter"}
    kinds[Kind.GAUGE] = "create_observable_gauge"
    assert created[name] == (kinds[CATALOG[name].kind], CATALOG[name].unit)


@events
def test_events_are_static_names_with_flat_keys(event: EventType) -> None:
    assert NAME.fullmatch(event.name) and event.name.startswith(("mlmon.", "gen_ai."))
    assert event.severities and set(event.severities) <= set(Severity)
    assert all(NAME.fullmatch(key) for key in event.attributes)
    assert event.name not in CATALOG


def test_tables_and_options_load_no_opentelemetry() -> None:
    program = (
        "import sys, mlmon_sidecar, mlmon_sidecar.export.catalog, mlmon_sidecar.export.options\n"
        "heavy = {'opentelemetry', 'requests', 'grpc', 'numpy', 'psutil'} & {m.split('.')[0] for m in sys.modules}\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
