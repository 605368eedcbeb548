"""``python -m dashboards.schema FILE``: whether the dashboards are what Grafana says a dashboard is.

``FILE`` is ``jsonschema/dashboard.jsonschema.json`` of https://github.com/grafana/grafana-foundation-sdk, which Grafana
makes from its own source. Whatever may be of any type there (an option, a value, a query) is written as an object
without known members; it is taken for what it means.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs

from dashboards.__main__ import files

__all__ = ["complaints", "main"]

_ANY: dict[str, Any] = {"type": "object", "additionalProperties": {}}


def complaints(schema: Any, dashboard: Any) -> list[str]:
    """What the schema has against a dashboard, each with its place."""
    validator = jsonschema_rs.validator_for(_meant(schema))
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(dashboard)]


def _meant(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_meant(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if {key: schema.get(key) for key in _ANY} == _ANY and "properties" not in schema:
        return {}
    meant = {key: _meant(value) for key, value in schema.items()}
    # One of these may be anything now, and so match beside another.
    if "oneOf" in meant:
        meant["anyOf"] = meant.pop("oneOf")
    return meant


def main() -> int:
    """Exit status: 0 for nothing to complain of, 1 otherwise."""
    parser = argparse.ArgumentParser("python -m dashboards.schema", description="Check the dashboards.")
    parser.add_argument("schema", type=Path, help="Grafana's schema of a dashboard")
    schema = json.loads(parser.parse_args().schema.read_text("utf-8"))
    found = [f"{name}: {line}" for name, text in files().items() for line in complaints(schema, json.loads(text))]
    print("\n".join(found) or f"{len(files())} dashboards are as Grafana's schema has them", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
