"""The spool of the recorder at work: its own folder, and what it takes over from dead proxies."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aitap.storage.losses import KILLED
from aitap.storage.spool.folders import Folder, adoptable
from aitap.storage.spool.ledger import RECORDERS, Ledger
from aitap.storage.spool.segments import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OpenSpool", "SpoolSettings", "take_over"]

log = logging.getLogger(__name__)


class SpoolSettings(msgspec.Struct, frozen=True, array_like=True):
    """Where it is. The folder is locked by whoever started us."""

    root: str
    folder: str
    limit: int
    sync: bool


class OpenSpool:
    """Spool and ledger of one recorder; without settings there is no spool, and the ledger is for itself."""

    def __init__(self, settings: SpoolSettings | None, database_url: str) -> None:
        self.spool: Spool | None = None
        self.ledger = Ledger()
        self._settings = settings
        self._url = database_url
        if settings is not None:
            # The lock is held by a descriptor that was passed on to us, and is let go when we and the proxy are gone.
            folder = Folder(Path(settings.folder), -1)
            try:
                folder.hold()
                self.ledger = Ledger(folder.ledger)
            except OSError as error:
                # Somebody removed it, or its disk takes no writes; the spool tries again when it is needed.
                log.error("the spool %s cannot be used now: %s", folder.path, error.strerror or error)  # noqa: TRY400
            self.spool = Spool(folder, limit=settings.limit, sync=settings.sync)
            self.spool.on_kept = self.ledger.kept

    def hold(self) -> None:
        """See to it, now and then, that folder and ledger are there, whoever removed them."""
        if self.spool is not None:
            with contextlib.suppress(OSError):  # told when it is needed
                self.spool.hold()
                self.ledger.restore(RECORDERS)

    def adopt(self) -> dict[str, int]:
        """Take over what dead proxies left; how many records each reason cost them."""
        if self._settings is None or self.spool is None:
            return {}
        return take_over(Path(self._settings.root), self._url, self.spool.adopt)


def take_over(root: Path, database_url: str, adopt: Callable[[Folder], None]) -> dict[str, int]:
    """Give the folders of dead proxies to ``adopt``, oldest first; how many records they lost, by reason."""
    lost = 0
    for folder in adoptable(root, database_url):
        if folder.ledger.exists():
            try:
                ledger = Ledger(folder.ledger)
                lost += ledger.settle()
                ledger.close()
            except OSError as error:
                log.warning("%s cannot be read: %s", folder.ledger, error)
        adopt(folder)
    return {KILLED: lost} if lost else {}
