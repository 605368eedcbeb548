"""What all recordings of a process share: whose they are, how much is kept, what is remembered from one to the next.

All that is remembered is bounded. Nothing here is for more than one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.capture.background import Told
from aitap.capture.clients import Clients
from aitap.capture.contents import Contents
from aitap.capture.history import Asked
from aitap.capture.retries import Retries
from aitap.record import CaptureMode, new_id

if TYPE_CHECKING:
    from aitap.redaction.redactor import Redactor

__all__ = ["Environment"]


class Environment:
    """What all recordings of a process share."""

    def __init__(self, initiator_id: str, capture: CaptureMode, redactor: Redactor | None = None) -> None:
        self.initiator_id = initiator_id
        self.capture: CaptureMode = capture
        self.redactor = redactor
        self.clients = Clients()
        self.retries = Retries()
        self.asked = Asked()
        self.told = Told()
        self.contents = Contents(redactor=redactor)

    def id_for(self, started_at: float) -> str:  # noqa: ARG002 - saved traffic has ids that depend on it
        """The id of a recording that begins."""
        return new_id()
