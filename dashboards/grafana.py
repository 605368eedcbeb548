"""Grafana's JSON: panels laid out in rows, variables, a dashboard.

Data sources are variables of the dashboard, so that the same file can be imported and provisioned.
The shape is that of schema version 39, which Grafana 10.4 and all later ones read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SCHEMA_VERSION", "Panel", "Row", "dashboard", "datasource_variable", "query_variable"]

SCHEMA_VERSION = 39
_WIDTH = 24

Kind = Literal["stat", "table", "lines", "bars", "pie", "barchart"]
Json = dict[str, Any]

_TYPES = {"lines": "timeseries", "bars": "timeseries", "pie": "piechart"}


@dataclass(frozen=True)
class Panel:
    """One panel. ``units`` and ``colors`` are of single columns; ``unit`` is of all others."""

    title: str
    kind: Kind
    query: Any
    """What it shows; whoever makes the dashboard makes the targets of it."""
    description: str
    unit: str = "short"
    width: int = 12
    height: int = 9
    units: dict[str, str] = field(default_factory=dict)
    colors: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the values of a column."""
    series_colors: dict[str, str] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    """Of columns, in pixels; the others share what is left."""
    unknown: str = "unknown"
    """What stands where there is no value: never 0."""
    empty: tuple[str, ...] = ()
    """Columns in which no value means that there is nothing to tell."""
    bridged: bool = False
    """Whether lines go on over gaps of some hours: where a point is missing because nothing happened."""
    thresholds: dict[float, str] = field(default_factory=dict)
    """Colours from a value on."""

    def json(self, number: int, x: int, y: int, source: Json, targets: list[Json], *, labelled: str = "") -> Json:
        """The panel with its place and its targets; ``labelled`` is how its series are called."""
        custom = {**_CUSTOM.get(self.kind, {}), **({"spanNulls": _BRIDGE} if self.bridged else {})}
        defaults: Json = {"unit": self.unit, "noValue": self.unknown, "custom": custom}
        if labelled:
            defaults["displayName"] = labelled
        if self.thresholds:
            defaults["color"] = {"mode": "thresholds"}
        else:
            defaults["color"] = (
                {"mode": "fixed", "fixedColor": "text"} if self.kind == "stat" else {"mode": "palette-classic"}
            )
        steps = [{"color": "green", "value": None}, *({"color": c, "value": v} for v, c in self.thresholds.items())]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        panel: Json = {
            "id": number,
            "type": _TYPES.get(self.kind, self.kind),
            "title": self.title,
            "description": self.description,
            "datasource": source,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": self._overrides()},
            "options": _OPTIONS[self.kind],
        }
        if self.kind == "stat" and self.width < self.height:
            panel["options"] = panel["options"] | {"orientation": "horizontal"}
        if self.kind in ("lines", "bars"):
            panel |= {"interval": "1m", "maxDataPoints": 120}
        return panel

    def _overrides(self) -> list[Json]:
        found: dict[str, list[Json]] = {}
        for column, unit in self.units.items():
            found.setdefault(column, []).append({"id": "unit", "value": unit})
        for column, colors in self.colors.items():
            options = {
                value: {"color": color, "index": index, "text": value}
                for index, (value, color) in enumerate(colors.items())
            }
            found.setdefault(column, []).extend(
                (
                    {"id": "mappings", "value": [{"type": "value", "options": options}]},
                    {"id": "custom.cellOptions", "value": {"type": "color-text"}},
                )
            )
        for name, color in self.series_colors.items():
            found.setdefault(name, []).append({"id": "color", "value": {"mode": "fixed", "fixedColor": color}})
        for column, width in self.widths.items():
            found.setdefault(column, []).append({"id": "custom.width", "value": width})
        for column in self.empty:
            found.setdefault(column, []).append({"id": "noValue", "value": ""})
        return [
            {"matcher": {"id": "byName", "options": column}, "properties": properties}
            for column, properties in found.items()
        ]


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


_BRIDGE = 6 * 3600 * 1000
"""Milliseconds."""
_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_TOOLTIP = {"mode": "multi", "sort": "desc"}
_CUSTOM: dict[str, Json] = {
    "lines": {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 8,
        "showPoints": "auto",
        "spanNulls": False,
        "axisSoftMin": 0,
    },
    "bars": {
        "drawStyle": "bars",
        "axisSoftMin": 0,
        "fillOpacity": 80,
        "lineWidth": 0,
        "barAlignment": 1,
        "stacking": {"mode": "normal", "group": "A"},
    },
    "table": {"align": "auto", "filterable": True, "inspect": True, "minWidth": 60},
    "barchart": {"fillOpacity": 80, "lineWidth": 0},
}
_OPTIONS: dict[str, Json] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
    },
    "table": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
    "lines": {"legend": _LEGEND, "tooltip": _TOOLTIP},
    "bars": {"legend": _LEGEND, "tooltip": _TOOLTIP},
    "pie": {
        "pieType": "donut",
        "displayLabels": ["percent"],
        "legend": {**_LEGEND, "values": ["value"]},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": True, "limit": 20},
        "tooltip": _TOOLTIP,
    },
    "barchart": {
        "orientation": "horizontal",
        "stacking": "none",
        "showValue": "auto",
        "barWidth": 0.9,
        "groupWidth": 0.8,
        "legend": _LEGEND,
        "tooltip": _TOOLTIP,
    },
}


def dashboard(
    uid: str,
    title: str,
    description: str,
    *,
    variables: list[Json],
    rows: Sequence[Row],
    panel: Callable[[Panel, int, int, int], Json],
    span: str,
    note: str = "",
) -> Json:
    """A whole dashboard. ``panel`` makes one of panel, number, x and y; ``note`` is Markdown on top."""
    panels: list[Json] = []
    y = 0
    if note:
        panels.append(_note(note, len(panels) + 1))
        y = panels[-1]["gridPos"]["h"]
    for row in rows:
        place = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
        heading = {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": []}
        panels.append({**heading, "gridPos": place})
        x, y, height = 0, y + 1, 0
        for one in row.panels:
            if x + one.width > _WIDTH:
                x, y, height = 0, y + height, 0
            panels.append(panel(one, len(panels) + 1, x, y))
            x, height = x + one.width, max(height, one.height)
        y += height
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["aitap"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "timezone": "browser",
        "time": {"from": f"now-{span}", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def _note(text: str, number: int) -> Json:
    return {
        "id": number,
        "type": "text",
        "title": "",
        "description": "What must be known of this dashboard.",
        "transparent": True,
        "gridPos": {"x": 0, "y": 0, "w": _WIDTH, "h": 2},
        "options": {"mode": "markdown", "content": text},
    }


def datasource_variable(label: str, plugin: str) -> Json:
    """The variable ``datasource``: which of the sources of this type."""
    return {
        "name": "datasource",
        "label": label,
        "type": "datasource",
        "query": plugin,
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "regex": "",
    }


def query_variable(name: str, label: str, source: Json, query: Any, all_value: str, *, with_span: bool = False) -> Json:
    """A variable of which several values, or all, are chosen; ``with_span`` asks anew where the time changes."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": source,
        "query": query,
        "definition": query if isinstance(query, str) else query["query"],
        "refresh": 2 if with_span else 1,
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "regex": "",
        "sort": 0,
    }
