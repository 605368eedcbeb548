"""What the operator said of single hosts: pass them unread, or decrypt them, whatever the setting says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, get_args

from aitap.storage.database import execute_many, transaction
from aitap.storage.directory import changed
from aitap.storage.models import HostRule
from aitap.storage.rows import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

__all__ = ["HOST_RULES", "RuleMode", "list_rules", "reset_hosts", "set_hosts"]

RuleMode = Literal["observe", "decrypt"]
HOST_RULES: tuple[RuleMode, ...] = get_args(RuleMode)
"""What can be said of a host."""

_RULE = Shape(HostRule)
_SET = (
    "INSERT INTO aitap_host_modes (pattern, mode, created_at) VALUES (?, ?, ?) "
    "ON CONFLICT (pattern) DO UPDATE SET mode = excluded.mode, created_at = excluded.created_at"
)
_RESET = "DELETE FROM aitap_host_modes WHERE pattern = ?"


def set_hosts(database: Database, patterns: Iterable[str], mode: RuleMode) -> None:
    """From now on this holds for these hosts (lower-case names, addresses or ``*`` patterns)."""
    now = HostRule.created_at.db_value(time.time())
    with transaction(database):
        execute_many(database, _SET, [(pattern, mode, now) for pattern in patterns])
        changed(database)


def reset_hosts(database: Database, patterns: Iterable[str]) -> list[str]:
    """Nothing holds for these any more; gives those of which nothing was said."""
    with transaction(database):
        unknown = [pattern for pattern in patterns if not execute_many(database, _RESET, [(pattern,)])]
        changed(database)
    return unknown


def list_rules(database: Database) -> list[dict[str, Any]]:
    """All that was said, by pattern. Plain dicts ready for JSON."""
    return [_RULE.dict(row) for row in database.execute(HostRule.select(*_RULE.fields).order_by(HostRule.pattern))]
