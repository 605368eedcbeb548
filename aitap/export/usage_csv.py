"""Usage as CSV: the same bytes from the command line and from the REST API."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from aitap.export.csv_rows import cell
from aitap.storage.daily import SUMS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["usage_csv"]


def usage_csv(rows: Sequence[dict[str, Any]], by: Sequence[str]) -> str:
    """CSV as in RFC 4180 with a head; a user is two columns, unknown is an empty cell, there is no line for all."""
    heads = [head for name in by for head in (("initiator_id", "initiator_username") if name == "user" else (name,))]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*heads, *SUMS])
    for row in rows:
        values: list[Any] = []
        for name in by:
            values += [row[name]["id"], row[name]["username"]] if name == "user" else [row[name]]
        writer.writerow([cell(value) for value in (*values, *(row[name] for name in SUMS))])
    return text.getvalue()
