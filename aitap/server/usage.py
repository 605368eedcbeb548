"""``GET /usage``: what ``aitap usage`` tells, as JSON or CSV, of what the caller may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.export.usage_csv import usage_csv
from aitap.server.answers import CSV, Answer, Question
from aitap.server.filters import values_of, wanted
from aitap.server.problems import invalid_parameters
from aitap.server.shapes import user
from aitap.storage import queries
from aitap.storage import usage as usages

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["usage"]


def usage(database: Database, question: Question) -> Answer:
    """Sums by whatever ``by`` names; they hold nothing that anybody typed."""
    parameters = question.parameters
    form = parameters.get("format", "json")
    if form not in ("json", "csv"):
        raise invalid_parameters({"format": f"{form[:40]!r} is neither json nor csv"})
    try:
        by = usages.names_of(parameters.get("by", "model"))
    except ValueError as error:
        raise invalid_parameters({"by": str(error)}) from None
    with queries.snapshot(database):
        found = wanted(database, question.caller, "usage", values_of("usage", parameters))
        rows, total = usages.usage(database, found, by)
    if form == "csv":
        return Answer(usage_csv(rows, by), media_type=CSV)
    if "user" in by:
        rows = [row | {"user": user(row["user"])} for row in rows]
    return Answer({"by": by, "rows": rows, "total": total})
