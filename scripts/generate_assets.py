"""Write the Grafana dashboards from ``mlmon_sidecar/assets/boards.py``; needs grafana-foundation-sdk.

``--check``: say what is out of date, and exit with 1 if anything is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common as make_common
from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
)  # fmt: skip

from mlmon_sidecar.assets.boards import BOARDS, Board, LogPanel, Panel
from mlmon_sidecar.assets.query import How, Query
from mlmon_sidecar.export.catalog import CATALOG, MODEL_NAME
from mlmon_sidecar.export.prometheus import label_name, prometheus_name

FOLDER = Path(__file__).parents[1] / "mlmon_sidecar" / "assets" / "grafana"
SCOPE = f'{label_name(MODEL_NAME)}=~"$model"'
METRICS = DataSourceRef(type_val="prometheus", uid="${metrics}")
LOGS = DataSourceRef(type_val="loki", uid="${logs}")
UNITS = {"s": "s", "By": "bytes", "1": "percentunit", "Cel": "celsius", "W": "watt", "{request}/s": "reqps"}
COLORS = ("green", "yellow", "orange", "red")
TAG = "mlmon"
WITH_EXEMPLARS = {"mlmon.prediction.duration", "mlmon.prediction.time_to_first_byte"}


def dashboard(board: Board) -> str:
    """One dashboard as JSON."""
    built = (
        make.Dashboard(board.title)
        .uid(f"mlmon-{board.key}")
        .description(board.description)
        .tags([TAG])
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            make.DashboardLink("mlmon")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(make.DatasourceVariable("metrics").label("Metrics").type("prometheus"))
        .with_variable(make.DatasourceVariable("logs").label("Logs").type("loki"))
        .with_variable(_models())
    )
    for title, members in board.rows:
        built = built.with_row(make.Row(title))
        width = 24 // min(len(members), 3)
        for member in members:
            drawn = _logs(member) if isinstance(member, LogPanel) else _stat(member) if member.stat else _curves(member)
            built = built.with_panel(drawn.span(width).height(8))
    text: str = json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True)
    return text + "\n"


def _models() -> Any:
    name = prometheus_name(CATALOG["mlmon.requests"])
    return (
        make.QueryVariable("model")
        .label("Model")
        .datasource(METRICS)
        .query(f"label_values({name}, {label_name(MODEL_NAME)})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all", selected=True))
    )


def _curves(panel: Panel) -> Any:
    drawn = (
        _framed(timeseries.Panel(), panel)
        .fill_opacity(8)
        .legend(
            make_common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(make_common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if panel.unit == "1":
        drawn = drawn.min(0)
    if panel.limit is not None:
        steps = [Threshold(color="green"), Threshold(value=panel.limit, color="red")]
        line = make_common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE)
        drawn = drawn.thresholds(make.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        drawn = drawn.thresholds_style(line)
    return drawn


def _stat(panel: Panel) -> Any:
    drawn = _framed(stat.Panel(), panel)
    if not panel.states:
        return drawn.color_mode(BigValueColorMode.NONE)
    options = {
        str(value): ValueMappingResult(text=text, color=COLORS[value], index=value)
        for value, text in enumerate(panel.states)
    }
    return drawn.color_mode(BigValueColorMode.BACKGROUND).mappings([ValueMap(options=options)])


def _framed(drawn: Any, panel: Panel) -> Any:
    drawn = drawn.title(panel.title).description(panel.description).datasource(METRICS)
    if panel.unit in UNITS:
        drawn = drawn.unit(UNITS[panel.unit])
    for place, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .ref_id(chr(ord("A") + place))
            .datasource(METRICS)
            .expr(query.promql("$__rate_interval", SCOPE))
            .exemplar(query.metric in WITH_EXEMPLARS)
            .legend_format(_legend(query, several=len(panel.queries) > 1))
        )
        drawn = drawn.with_target(target.instant() if panel.stat else target.range())
    return drawn


def _legend(query: Query, *, several: bool) -> str:
    parts = [f"{{{{{label_name(key)}}}}}" for key in query.by]
    if several:
        quantile = query.how in (How.P50, How.P95, How.P99)
        parts.append(query.how.value if quantile else query.metric.rpartition(".")[2])
    return " ".join(parts) or query.metric.rpartition(".")[2]


def _logs(panel: LogPanel) -> Any:
    """Loki keeps a log record's attributes as structured metadata, dots as underscores."""
    expr = f'{{service_name=~".+"}} | {label_name(panel.attribute)} != "" | {SCOPE}'
    query = loki.Dataquery().ref_id("A").datasource(LOGS).expr(expr).max_lines(200)
    return logs.Panel().title(panel.title).description(panel.description).datasource(LOGS).with_target(query)


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = 0
    for board in BOARDS:
        path = FOLDER / f"mlmon-{board.key}.json"
        text = dashboard(board)
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale += 1
                print(f"{path.name} is out of date: run python scripts/generate_assets.py")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
