"""People known by their address, as an identity source of its own: there are no credentials to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.access.authentication.directory import Person
from aitap.access.authentication.sources import Grant, Reason
from aitap.access.identity import Identity, user_id

if TYPE_CHECKING:
    import asyncio

    from aitap.access.authentication.address_table import AddressTable
    from aitap.access.authentication.credentials import Credentials
    from aitap.access.authentication.directory import Directory

__all__ = ["ByAddress"]


class ByAddress:
    """A :class:`aitap.access.authentication.sources.Source` that knows no credentials."""

    def __init__(self, table: AddressTable, directory: Directory, loop: asyncio.AbstractEventLoop) -> None:
        self._table = table
        self._directory = directory
        self._loop = loop
        self._grants: dict[str, Grant] = {}
        self._enrolling: set[asyncio.Task[None]] = set()

    def grant(self, address: str) -> Grant | None:
        """Who comes from this address; None where nobody does, or somebody who was removed."""
        name = self._table.user(address)
        if name is None:
            return None
        grant = self._grants.get(name)
        if grant is None:
            own_id = self._directory.ids.get(name) or user_id(name)
            grant = self._grants[name] = Grant(Identity(own_id, name, "address"), self)
            if own_id not in self._directory.users and own_id not in self._directory.removed:
                task = self._loop.create_task(self._directory.enrol(Person(own_id, name, "address")))
                self._enrolling.add(task)
                task.add_done_callback(self._enrolling.discard)
        return None if self.withdrawn(grant) else grant

    def known(self, credentials: Credentials) -> None:  # noqa: ARG002
        """Nobody."""
        return

    def can_look_up(self, credentials: Credentials) -> bool:  # noqa: ARG002
        """Never."""
        return False

    async def look_up(self, credentials: Credentials) -> None:  # noqa: ARG002
        """Nobody."""
        return

    def withdrawn(self, grant: Grant) -> Reason | None:
        """Removed among our own users."""
        return "revoked" if grant.identity.user_id in self._directory.removed else None
