"""How the parts of the access control get what they share, once the proxy starts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from aitap.access.authentication.directory import Directory
    from aitap.access.decryption.choice import Choices
    from aitap.capture.relay import Relay
    from aitap.capture.routes import Router
    from aitap.settings import Settings

__all__ = ["Part", "Startup"]


@dataclasses.dataclass(frozen=True, slots=True)
class Startup:
    """What is there when the database is open and the recorder runs."""

    settings: Settings
    router: Router
    relay: Relay
    directory: Directory
    choices: Choices
    """What is decrypted, as the settings and the directory say."""
    loop: asyncio.AbstractEventLoop


class Part(Protocol):
    """One part of the access control: a mitmproxy addon of its own, which fails closed until it is started.

    One that has ``idle`` set once it is started is not asked any more (see :mod:`aitap.capture.chain`).
    """

    def start(self, startup: Startup) -> None:
        """Begin. Raises :class:`aitap.settings.SettingsError` where a setting cannot be met."""
        ...

    def stop(self) -> None:
        """The proxy ends: hand over what is still to be told."""
        ...
