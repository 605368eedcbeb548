"""Users, keys and rules for hosts as the database has them, in memory and never more than seconds old."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Directory"]


class Directory:
    """A snapshot that follows the database. Lookups are in memory; a thread reads what changed."""

    def __init__(self, database_url: str) -> None:
        self.host_modes: dict[str, str] = {}
        """What the operator said of a host (lower-case name or ``*`` pattern): ``observe`` or ``decrypt``."""
        self.on_change: list[Callable[[], None]] = []
        """Called on the event loop after each change."""

    def start(self) -> None:
        """Read once, now, and follow from then on."""

    def stop(self) -> None:
        """Follow no longer."""
