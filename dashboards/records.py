"""The dashboard on the records, for either kind of database."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dashboards.dialects import ALL, moments, source
from dashboards.grafana import dashboard, datasource_variable, query_variable
from dashboards.record_panels import ROWS

if TYPE_CHECKING:
    from dashboards.dialects import Dialect
    from dashboards.grafana import Panel

__all__ = ["VARIABLES", "records_dashboard"]

_NOTE = (
    "**Prompts, tool calls and thoughts below are what people and models wrote.** Give this dashboard to those who may "
    "read them. What is not known is shown as *unknown* and never counted as 0."
)
_WIDTHS = {
    column: width
    for width, columns in {
        80: ("Ends in", "Errors", "Kind", "Live keys", "Result", "Sessions", "State", "Status", "Threads", "Users"),
        110: ("Client", "Interceptions", "Known from", "Mode", "Name", "Prompts", "Provider", "Providers", "Responses"),
        115: ("Source", "Tool", "Tool calls", "Username", "Version"),
        150: (
            "Error",
            "Interception",
            "MCP server",
            "Model",
            "Models",
            "Session",
            "Thread",
            "Without a price",
            "Without usage",
        ),
        250: ("Host", "Last prompt", "Tool input"),
    }.items()
    for column in columns
}
"""Of columns whose content is short, or would push the others away; in pixels."""
_MOMENT_WIDTH = 165

VARIABLES = (
    ("username", "User", False),
    ("provider", "Provider", False),
    ("model", "Model", True),
    ("client", "Client", False),
)
"""Name, label, and whether the values depend on the time."""


def records_dashboard(dialect: Dialect) -> dict[str, Any]:
    """The dashboard on the records in this kind of database."""
    source_of_data = {"type": dialect.plugin, "uid": "${datasource}"}

    def panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
        series = " AS metric" in source(panel.query)
        labelled = "${__field.labels.metric}" if series and dialect.name == "SQLite" else ""
        if panel.kind == "table":
            panel = replace(panel, widths=_widths(panel.query))
        return panel.json(number, x, y, source_of_data, [_target(panel, dialect, source_of_data)], labelled=labelled)

    variables = [
        query_variable(name, label, source_of_data, dialect.query(f"variable_{name}"), f"'{ALL}'", with_span=with_span)
        for name, label, with_span in VARIABLES
    ]
    short = "sqlite" if dialect.name == "SQLite" else "sql"
    return dashboard(
        f"aitap-{short}",
        f"AI usage ({dialect.name})",
        f"Who asked which model what, with which client and tools, at what cost: aitap's records in {dialect.name}.",
        variables=[datasource_variable(dialect.name, dialect.plugin), *variables],
        rows=ROWS,
        panel=panel,
        span="7d",
        note=_NOTE,
    )


def _widths(query: str) -> dict[str, int]:
    """Of the columns of this query."""
    text = source(query)
    known = {column: width for column, width in _WIDTHS.items() if f'AS "{column}"' in text}
    return known | dict.fromkeys(moments(text), _MOMENT_WIDTH)


def _target(panel: Panel, dialect: Dialect, source_of_data: dict[str, str]) -> dict[str, Any]:
    query = dialect.query(panel.query)
    series = panel.kind in ("lines", "bars")
    target = {"refId": "A", "datasource": source_of_data}
    if dialect.name == "SQLite":
        return target | {
            "queryType": "time series" if series else "table",
            "rawQueryText": query,
            "queryText": query,
            "timeColumns": moments(source(panel.query)),
        }
    return target | {
        "format": "time_series" if series else "table",
        "rawQuery": True,
        "editorMode": "code",
        "rawSql": query,
    }
