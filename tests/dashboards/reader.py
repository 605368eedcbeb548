"""The database user that ``dashboards/reader.sql`` makes."""

from __future__ import annotations

from pathlib import Path

import psycopg

__all__ = ["READER", "as_reader"]

READER = Path(__file__).parents[2] / "dashboards" / "reader.sql"


def as_reader(url: str) -> str:
    """Make that user in this database; the URL by which it gets there."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(READER.read_bytes())
    return url.replace("postgres@", "aitap_reader@", 1)
