"""Grafana dashboards as code. `python -m monitoring.dashboards` writes the JSON that Grafana provisions."""
