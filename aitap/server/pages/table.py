"""The table of pages: addresses, parameters, what makes each, and who may see it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from aitap.server.pages import (
    audit_list,
    downloads,
    host_list,
    one_interception,
    one_session,
    overview,
    people,
    session_list,
    usage_table,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from peewee import Database
    from starlette.responses import Response

    from aitap.server.pages.asking import Asked, Moved, View
    from aitap.server.pages.downloads import Run
    from aitap.storage.audit import Reader

__all__ = ["ACTIONS", "DOWNLOADS", "PAGES", "Action", "Download", "Page"]


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """What is asked for with GET."""

    path: str
    view: Callable[[Database, Asked], View]
    parameters: tuple[str, ...]
    for_admins: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """What a form asks for, with POST; for admins alone. It gets the database that takes writes."""

    path: str
    act: Callable[[Database, Asked], View | Moved]
    fields: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Download:
    """What is sent as a file."""

    path: str
    make: Callable[[Run, Reader, Asked], Awaitable[Response]]
    parameters: tuple[str, ...]


PAGES = (
    Page("/", overview.overview, overview.PARAMETERS),
    Page("/sessions", session_list.session_list, session_list.PARAMETERS),
    # Clients choose the ids of sessions: in the path, some would not come through.
    Page(one_session.PATH, one_session.one_session, one_session.PARAMETERS),
    Page("/interception/{interception_id}", one_interception.one_interception, one_interception.PARAMETERS),
    Page("/usage", usage_table.usage_table, usage_table.PARAMETERS),
    Page("/hosts", host_list.host_list, host_list.PARAMETERS),
    Page("/users", people.users, people.USER_PARAMETERS, for_admins=True),
    Page("/keys", people.keys, people.KEY_PARAMETERS, for_admins=True),
    Page("/audit", audit_list.audit_list, audit_list.PARAMETERS, for_admins=True),
)

ACTIONS = (
    Action("/users", people.add, people.ADD_FIELDS),
    Action("/users/{user_id}/role", people.role, people.ROLE_FIELDS),
    Action("/users/{user_id}/remove", people.remove),
    Action("/users/{user_id}/restore", people.bring_back),
    Action("/keys", people.make_key, people.KEY_FIELDS),
    Action("/keys/{key_id}/revoke", people.revoke),
)

DOWNLOADS = (
    Download("/interception/{interception_id}/record.json", downloads.interception_download, ()),
    Download("/usage.csv", downloads.usage_download, usage_table.PARAMETERS),
    Download("/sessions.csv", downloads.session_download, session_list.PARAMETERS),
    Download("/sessions.jsonl", downloads.session_download, session_list.PARAMETERS),
)
