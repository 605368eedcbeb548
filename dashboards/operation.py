"""The dashboard for operation, on Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboards.grafana import dashboard, datasource_variable, query_variable
from dashboards.operation_panels import ROWS

if TYPE_CHECKING:
    from dashboards.grafana import Panel

__all__ = ["VARIABLES", "operation_dashboard"]

_PLUGIN = "prometheus"
_SOURCE = {"type": _PLUGIN, "uid": "${datasource}"}

VARIABLES = (
    ("instance", "Proxy", "label_values(aitap_build_info, instance)"),
    ("provider", "Provider", "label_values(aitap_interceptions_total, provider)"),
    ("model", "Model", 'label_values(aitap_interceptions_total{provider=~"$provider"}, model)'),
    ("client", "Client", "label_values(aitap_interceptions_total, client)"),
)


def operation_dashboard() -> dict[str, Any]:
    """The dashboard on Prometheus."""

    def panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
        targets = [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "editorMode": "code",
                "expr": expression,
                "legendFormat": legend or "__auto",
                "range": panel.kind != "stat",
                "instant": panel.kind == "stat",
            }
            for index, (expression, legend) in enumerate(panel.query)
        ]
        made = panel.json(number, x, y, _SOURCE, targets)
        if panel.kind == "stat":
            made["options"] = made["options"] | {"textMode": "value"}
        return made

    variables = [
        query_variable(
            name, label, _SOURCE, {"query": query, "refId": f"variable-{name}", "qryType": 5}, ".*", with_span=True
        )
        for name, label, query in VARIABLES
    ]
    return dashboard(
        "aitap-operation",
        "aitap: operation",
        "Whether the proxies are well: traffic, errors, speed, recorder and access, from their metrics.",
        variables=[datasource_variable("Prometheus", _PLUGIN), *variables],
        rows=ROWS,
        panel=panel,
        span="6h",
    )
