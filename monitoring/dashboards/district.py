"""The district's dashboard: all lines and all software at a glance, then one ward in depth."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.dashboards.elements import OWN, PARTS, SOURCE, STATES, instant, lines, query, variable


def district() -> dashboard.Dashboard:
    board = (
        build.Dashboard("wardnet: đường truyền và phần mềm / lines and software")
        .uid("wardnet-district")
        .description(
            "Do đường truyền hay do phần mềm, cho từng phường và kênh? / Line or software, for each ward and channel?"
        )
        .tags(["wardnet"])
        .editable()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("source").label("Prometheus").type("prometheus"))
        .with_variable(variable("ward", "Phường / ward", "label_values(channel:wardnet_state:rank, ward)"))
        .with_variable(
            variable("channel", "Kênh / channel", 'label_values(channel:wardnet_state:rank{ward=~"$ward"}, channel)')
        )
        .with_row(build.Row("Toàn quận / the district"))
        .with_panel(_troubled())
        .with_panel(_firing())
        .with_panel(_states())
        .with_row(build.Row("Đường truyền / lines"))
        .with_panel(_round_trip())
        .with_panel(_quantiles())
        .with_panel(_loss())
        .with_panel(_traffic())
        .with_panel(_utilisation())
        .with_panel(_errors())
        .with_row(build.Row("Phần mềm / software"))
        .with_panel(_phases())
        .with_panel(_server())
        .with_panel(_durations())
        .with_panel(_failures())
        .with_row(build.Row("Chương trình đo / agents"))
        .with_panel(_lateness())
        .with_panel(_scraped())
        .build()
    )
    for number, panel in enumerate(board.panels or (), start=1):
        panel.id_val = number
    return board


def _troubled() -> stat.Panel:
    steps = [dashboard.Threshold(value=None, color="green"), dashboard.Threshold(value=1, color="red")]
    return (
        stat.Panel()
        .title("Kênh cần xử lý / channels in trouble")
        .datasource(SOURCE)
        .span(6)
        .height(5)
        .thresholds(build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(models.BigValueColorMode.BACKGROUND)
        .with_target(instant('count(channel:wardnet_state:rank{ward=~"$ward"} > 0) or vector(0)'))
    )


def _firing() -> table.Panel:
    return (
        table.Panel()
        .title("Cảnh báo đang bật / firing alerts")
        .datasource(SOURCE)
        .span(18)
        .height(5)
        .no_value("không có / none")
        .show_header(True)
        .with_target(
            instant(
                "count by (severity, ward_name, channel, alertname, service, family) "
                '(ALERTS{alertstate="firing",ward=~"$ward|all"})'
            ).format(PromQueryFormat.TABLE)
        )
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize", options={"excludeByName": {"Time": True, "Value": True}, "indexByName": {}}
            )
        )
    )


def _states() -> statetimeline.Panel:
    words = {
        str(rank): dashboard.ValueMappingResult(text=text, color=colour, index=index)
        for index, (rank, (text, colour)) in enumerate(STATES.items())
    }
    return (
        statetimeline.Panel()
        .title("Trạng thái từng kênh / state of each channel")
        .datasource(SOURCE)
        .span(24)
        .height(12)
        .mappings([dashboard.ValueMap(options=words)])
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.FIXED))
        .merge_values(True)
        .show_value(models.VisibilityMode.AUTO)
        .with_target(
            query(f"max by (ward_name, channel) (channel:wardnet_state:rank{{{OWN}}})", "{{ward_name}} · {{channel}}")
        )
    )


def _round_trip() -> timeseries.Panel:
    return (
        lines(
            "Khứ hồi và mức nền / round trip and base",
            "s",
            "Trung vị 30 giây; nền là mức thấp nhất trong một ngày. / Median of 30 s; the base is a day's lowest.",
        )
        .with_target(
            query(f"channel:wardnet_link_round_trip_seconds:median30s{{{OWN}}}", "{{ward_name}} · {{channel}}")
        )
        .with_target(
            query(
                f"channel:wardnet_link_round_trip_seconds:min1d{{{OWN}}}", "{{ward_name}} · {{channel}} nền/base", "B"
            )
        )
    )


def _quantiles() -> timeseries.Panel:
    return (
        lines("Khứ hồi p50 và p95 / round trip quantiles", "s", "Mọi gói đo trong 5 phút. / Every probe of 5 min.")
        .with_target(
            query(f"link:wardnet_link_round_trip_seconds:p50_5m{{{OWN}}}", "p50 {{ward_name}} · {{channel}} {{family}}")
        )
        .with_target(
            query(
                f"link:wardnet_link_round_trip_seconds:p95_5m{{{OWN}}}",
                "p95 {{ward_name}} · {{channel}} {{family}}",
                "B",
            )
        )
    )


def _loss() -> timeseries.Panel:
    return lines("Mất gói / loss", "percentunit", "Trong một phút. / Over one minute.", 8).with_target(
        query(f"channel:wardnet_link_lost:ratio1m{{{OWN}}}", "{{ward_name}} · {{channel}}")
    )


def _traffic() -> timeseries.Panel:
    return (
        lines(
            "Lưu lượng và hợp đồng / traffic and contract",
            "bps",
            "Đang dùng, không phải tốc độ tối đa. / What is used, not what the line can do.",
            8,
        )
        .with_target(
            query(
                f"8 * channel:wardnet_circuit_bytes_per_second:rate30s{{{OWN}}}",
                "{{ward_name}} · {{channel}} {{direction}}",
            )
        )
        .with_target(
            query(
                f"8 * channel:wardnet_circuit_contracted_bytes_per_second:max{{{OWN}}}",
                "{{ward_name}} · {{channel}} {{direction}} hợp đồng/contracted",
                "B",
            )
        )
    )


def _utilisation() -> timeseries.Panel:
    return lines("Mức sử dụng / utilisation", "percentunit", "So với hợp đồng. / Of the contract.", 8).with_target(
        query(f"channel:wardnet_circuit_utilisation:ratio30s{{{OWN}}}", "{{ward_name}} · {{channel}} {{direction}}")
    )


def _errors() -> timeseries.Panel:
    return lines(
        "Gói lỗi và bị bỏ ở cổng / errors and drops at the port", "pps", "Trong 5 phút. / Over 5 min.", 24
    ).with_target(query(f"channel:wardnet_circuit_errors_and_drops:rate5m{{{OWN}}}", "{{ward_name}} · {{channel}}"))


def _phases() -> timeseries.Panel:
    panel = (
        lines(
            "Thời gian phần mềm theo bước / software time by phase",
            "s",
            "Trung bình các phường và dịch vụ đã chọn; các phần cộng lại bằng tổng. / Mean; the parts add up.",
        )
        .stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
        .fill_opacity(70)
        .with_target(
            query(f"avg by (part) (channel_service:wardnet_service_part_seconds:median30s{{{OWN}}})", "{{part}}")
        )
    )
    for part, (words, colour) in PARTS.items():
        panel = panel.override_by_name(
            part,
            [
                dashboard.DynamicConfigValue(id_val="displayName", value=words),
                dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour}),
            ],
        )
    return panel


def _server() -> timeseries.Panel:
    return lines(
        "Phần của máy chủ / the server's part",
        "s",
        "Byte đầu tiên trừ khứ hồi do nhân đo trên cùng kết nối. / First byte less the kernel's round trip.",
    ).with_target(
        query(
            f'channel_service:wardnet_service_part_seconds:median30s{{part="server",{OWN}}}',
            "{{ward_name}} · {{service}}",
        )
    )


def _durations() -> timeseries.Panel:
    return lines("Cả trang p95 / whole page p95", "s", "Mọi lần chạy trong 5 phút. / Every run of 5 min.").with_target(
        query(f"service:wardnet_service_duration_seconds:p95_5m{{{OWN}}}", "{{ward_name}} · {{service}} {{family}}")
    )


def _failures() -> timeseries.Panel:
    return lines("Lần chạy lỗi / failed runs", "percentunit", "Trong 5 phút. / Over 5 min.").with_target(
        query(f"service:wardnet_service_failed:ratio5m{{{OWN}}}", "{{ward_name}} · {{service}} {{family}}")
    )


def _lateness() -> timeseries.Panel:
    return lines(
        "Trễ so với lịch / behind schedule", "s", "Cao thì số đo phản ánh chính máy đo. / High: it measures itself."
    ).with_target(query('gateway:wardnet_agent_lateness_seconds:max{ward=~"$ward"}', "{{ward_name}} · {{plane}}"))


def _scraped() -> timeseries.Panel:
    return (
        lines("Kết nối được / reached", "short", "1: trả lời. / 1: answers.")
        .max(1)
        .with_target(query('gateway:wardnet_scraped:max{ward=~"$ward"}', "{{ward_name}} · {{job}}"))
    )
