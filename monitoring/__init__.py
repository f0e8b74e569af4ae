"""What Prometheus, Alertmanager and Grafana are given: rules and their tests, consoles, dashboards, templates."""
