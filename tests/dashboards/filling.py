"""What Grafana makes of a query before it sends it: the documented macros and variables, by hand.

Sources: https://grafana.com/docs/grafana/latest/datasources/postgres/query-editor/ for PostgreSQL;
https://grafana.com/docs/grafana/latest/dashboards/variables/ for ``$__from``, ``$__interval_ms`` and ``sqlstring``,
which are all that the plugin for SQLite knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["HOUR", "postgresql", "queries", "sqlite", "variables"]

HOUR = 3600
Choice = Mapping[str, Sequence[str]]


def postgresql(query: str, start: float, end: float, chosen: Choice, everything: str) -> str:
    since, until = (datetime.fromtimestamp(at, UTC).strftime("'%Y-%m-%dT%H:%M:%SZ'") for at in (start, end))
    query = _chosen(query, chosen, everything).replace("$__interval", "1h")
    query = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN {since} AND {until}", query)
    query = re.sub(r"\$__timeGroup\(([^),]*), 1h\)", rf"floor(extract(epoch from \1)/{HOUR})*{HOUR}", query)
    query = query.replace("$__timeFrom()", since).replace("$__timeTo()", until)
    assert "$" not in query, query
    return query


def sqlite(query: str, start: float, end: float, chosen: Choice, everything: str) -> str:
    query = _chosen(query, chosen, everything).replace("$__interval_ms", str(HOUR * 1000))
    query = query.replace("$__from", str(int(start * 1000))).replace("$__to", str(int(end * 1000)))
    assert "$" not in query, query
    return query


def _chosen(query: str, chosen: Choice, everything: str) -> str:
    def values(match: re.Match[str]) -> str:
        names = chosen.get(match[1])
        # A custom value for "All" goes in as it is, past all formats.
        return everything if names is None else ",".join("'" + name.replace("'", "''") + "'" for name in names)

    return re.sub(r"\$\{(\w+):sqlstring\}", values, query)


def queries(dashboard: dict[str, Any]) -> dict[str, str]:
    """The query of each panel, by its title."""
    return {
        panel["title"]: panel["targets"][0].get("rawSql") or panel["targets"][0]["rawQueryText"]
        for panel in dashboard["panels"]
        if "targets" in panel
    }


def variables(dashboard: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables whose values are asked for, by name."""
    return {one["name"]: one for one in dashboard["templating"]["list"] if one["type"] == "query"}
