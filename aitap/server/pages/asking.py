"""What a page is asked and what it gives back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from aitap.server.pages.words import address
from aitap.storage.audit import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.server.callers import Caller

__all__ = ["Asked", "Moved", "View"]


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One request for a page, read and found to be in order."""

    caller: Caller
    token: str
    """For the forms on the page."""
    signed_in: bool
    path: str
    parameters: dict[str, str]
    """Of the query; only those that the page takes, none without a value."""
    parts: dict[str, str]
    """Of the path."""
    form: dict[str, str]
    """Of a form that was sent; empty else."""

    @property
    def is_admin(self) -> bool:
        """Whether users and keys may be changed."""
        return self.caller.role == "admin"

    @property
    def doer(self) -> Reader:
        """The visitor, as the audit has them."""
        who = self.caller.identity
        return Reader(
            user_id=who.user_id, api_key_id=who.api_key_id, address=self.caller.address, path=self.path, query=""
        )

    def given(self, name: str) -> str:
        """The value of a parameter; empty where it was not given."""
        return self.parameters.get(name, "")

    def link(self, **changes: object) -> str:
        """The address of this page with other parameters; it begins at the first page again."""
        return address(self.path, {**self.parameters, "after": None, **changes})

    def elsewhere(self, path: str, **changes: object) -> str:
        """The address of another page with the same parameters, but for ``changes``."""
        return address(path, {**self.parameters, "after": None, **changes})


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What to show, and whose records are in it."""

    template: str
    values: Mapping[str, Any]
    subjects: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """How many records of each user (by id) that hold what people typed."""
    mark: str = ""
    """Another one as soon as there is something new to show; empty for pages that nobody follows."""
    status: int = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """What was asked for is done; this page shows it."""

    address: str
