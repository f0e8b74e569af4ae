"""What the panels are made of: the data source, words and colours, queries, and charts of lines."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, prometheus, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${source}")
OWN = 'ward=~"$ward",channel=~"$channel"'

# The colours of the parts are those of the console pages.
PARTS = {
    "dns": ("tên miền / DNS", "#7a5bb5"),
    "connect": ("kết nối / connect", "#2f7fd0"),
    "tls": ("TLS", "#16857c"),
    "line": ("đường truyền / line", "#d98200"),
    "server": ("máy chủ / server", "#c03a2b"),
    "transfer": ("tải trang / transfer", "#6f7b87"),
}

# Rank of a condition (monitoring/rules/conditions.yml): words and colour.
STATES = {
    0: ("tốt / OK", "green"),
    20: ("chưa đo phần mềm / software not measured", "purple"),
    30: ("máy chủ chậm / server slow", "orange"),
    31: ("TLS chậm / TLS slow", "orange"),
    32: ("tên miền chậm / name service slow", "orange"),
    40: ("phần mềm không trả lời / service down", "red"),
    50: ("đường truyền chậm / line slow", "orange"),
    60: ("đường truyền đầy tải / line full", "orange"),
    70: ("mất gói / line lossy", "orange"),
    80: ("máy đo quá tải / agent overloaded", "purple"),
    90: ("đứt đường truyền / line down", "red"),
    100: ("không có dữ liệu / no data", "purple"),
}


def variable(name: str, label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def query(expression: str, legend: str, reference: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(reference).range()


def instant(expression: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("A").instant()


def lines(title: str, unit: str, description: str, width: int = 12) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(width)
        .height(8)
        .line_width(2)
        .show_points(models.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(models.LegendDisplayMode.TABLE)
            .placement(models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
    )
