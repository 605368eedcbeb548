"""The audit, for admins: who was shown whose records, who changed what, when and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.server.audit import KINDS, entries_asked_for
from aitap.server.pages.asking import Asked, View
from aitap.storage.administration import ACTIONS
from aitap.storage.audit import READ

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["PARAMETERS", "audit_list"]

PARAMETERS = ("reader", "subject", "action", "read_after", "read_before", "after")

PAGE = 100
TIMES = {"": "Any time", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "365d": "Last year"}
_NAMES = {"": "Anything", READ: "Read records"}


def audit_list(database: Database, asked: Asked) -> View:
    """``GET /audit``."""
    found = entries_asked_for(database, asked.caller, asked.parameters, PAGE + 1, asked.parameters.get("after"))
    page = found[:PAGE]
    times = dict(TIMES)
    if (chosen := asked.parameters.get("read_after", "")) not in times:
        times[chosen] = f"Since {chosen[:32]}"
    acts = {name: f"Any of {name}" for name in KINDS if name != READ} | {name: name for name in ACTIONS}
    values = {
        "entries": page,
        "next": asked.link(after=page[-1]["id"]) if len(found) > PAGE else None,
        "is_first": "after" not in asked.parameters,
        "acts": _NAMES | dict(sorted(acts.items())),
        "times": times,
    }
    return View("audit.html", values)
