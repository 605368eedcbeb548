"""Which records a page is about: the filter of its address, under the visitor's rights, and what to choose from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aitap.server.filters import wanted
from aitap.server.problems import invalid_parameters
from aitap.storage.choices import choices
from aitap.storage.search import KEYS

if TYPE_CHECKING:
    from peewee import Database

    from aitap.server.pages.asking import Asked
    from aitap.storage.filters import Filter
    from aitap.storage.search import Kind

__all__ = ["CHOSEN", "DAYS", "page_filter", "selects"]

CHOSEN = ("initiator", "provider", "model", "client")
"""Parameters for which a page has a list to choose from."""
DAYS = ("from", "to")
"""Parameters that name a whole day in UTC, both inclusive."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def page_filter(database: Database, asked: Asked, kind: Kind = "sessions") -> Filter:
    """The filter of this page's parameters. Raises :class:`aitap.server.problems.Problem`."""
    values = {key: asked.parameters[key] for key in KEYS if key in asked.parameters}
    for name, key, time in (("from", "started_after", "00:00:00"), ("to", "started_before", "23:59:59.999999")):
        if name in asked.parameters:
            if not _DAY.fullmatch(asked.parameters[name]):
                raise invalid_parameters({name: "write a day like 2026-01-31"})
            values[key] = f"{asked.parameters[name]}T{time}Z"
    return wanted(database, asked.caller, kind, values)


def selects(database: Database, asked: Asked) -> list[dict[str, Any]]:
    """The lists to choose from: ``name``, ``label``, ``value`` that is chosen, ``options``.

    What is chosen is always an option, also where there are no records of it any more.
    """
    found = choices(database, None if asked.caller.sees_all else asked.caller.me[0])
    labels = {"initiator": "User", "provider": "Provider", "model": "Model", "client": "Client"}
    made = []
    for name in CHOSEN:
        if name == "initiator" and not asked.caller.sees_all:
            continue
        value = asked.parameters.get(name, "")
        options = [option for option in found[name] if option]
        if value and value not in options:
            options.insert(0, value)
        made.append({"name": name, "label": labels[name], "value": value, "options": options})
    return made
