"""The hosts that were seen: which AI services are used by whom, and whether what goes there is read."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.record import UNKNOWN, HostMode
from aitap.server.pages.asking import Asked, View
from aitap.server.pages.filtering import page_filter, selects
from aitap.server.problems import invalid_parameters
from aitap.storage.host_rules import list_rules
from aitap.storage.hosts import list_hosts

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["PARAMETERS", "host_list"]

PARAMETERS = ("initiator", "provider", "client", "mode", "started_after")

MODES: dict[HostMode, str] = {
    "decrypted": "Read",
    "observed": "AI host, passed unread",
    "tunnelled": "Other, passed unread",
}
TIMES = {"": "Any time", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}
_SHOWN = 10


def host_list(database: Database, asked: Asked) -> View:
    """``GET /hosts``."""
    mode: Any = asked.parameters.get("mode")
    if mode is not None and mode not in MODES:
        raise invalid_parameters({"mode": f"choose one of {', '.join(MODES)}"})
    wanted = msgspec.structs.replace(page_filter(database, asked, "hosts"), ended=False)
    hosts = list_hosts(database, wanted, mode)
    rules = list_rules(database)
    for host in hosts:
        host["rule"] = next((rule["mode"] for rule in rules if fnmatchcase(host["host"], rule["pattern"])), None)
        host["more_users"] = max(0, len(host["users"]) - _SHOWN)
        host["users"] = sorted(host["users"], key=lambda user: user["username"] or user["id"])[:_SHOWN]
    times = dict(TIMES)
    if (chosen := asked.parameters.get("started_after", "")) not in times:
        times[chosen] = f"Since {chosen[:32]}"
    values = {
        "hosts": hosts,
        # What is set by hand may name hosts that others alone use.
        "rules": rules if asked.caller.sees_all else [],
        "modes": MODES,
        "mode": mode or "",
        "unknown": UNKNOWN,
        "selects": [one for one in selects(database, asked) if one["name"] != "model"],
        "times": times,
    }
    return View("hosts.html", values)
