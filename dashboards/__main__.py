"""``python -m dashboards``: writes the dashboards, or with ``--check`` says whether they are what would be written."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dashboards.dialects import POSTGRESQL, SQLITE
from dashboards.operation import operation_dashboard
from dashboards.records import records_dashboard

__all__ = ["files", "main"]

HERE = Path(__file__).parent


def files() -> dict[str, str]:
    """Name and text of every dashboard."""
    made = {
        "aitap-sql.json": records_dashboard(POSTGRESQL),
        "aitap-sqlite.json": records_dashboard(SQLITE),
        "aitap-prometheus.json": operation_dashboard(),
    }
    return {name: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for name, content in made.items()}


def main() -> int:
    """Exit status: 0 done, 1 a file is not what it would be."""
    parser = argparse.ArgumentParser("python -m dashboards", description="Write the dashboards from their source.")
    parser.add_argument("--check", action="store_true", help="write nothing, but say what is out of date")
    check = parser.parse_args().check
    stale = [name for name, text in files().items() if not _holds(HERE / name, text)]
    for name in stale:
        if check:
            print(f"dashboards: {name} is out of date: run python -m dashboards", file=sys.stderr)
        else:
            (HERE / name).write_text(files()[name], "utf-8")
            print(f"dashboards: wrote {name}")
    return 1 if check and stale else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
