"""Who runs this command, where: what the audit says of an act of administration."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aitap.storage.audit import Reader

__all__ = ["doer"]


def doer() -> Reader:
    """The person this process runs for, on the machine of this name, by the command at hand without its values."""
    from aitap.access.identity import local_user
    from aitap.storage.audit import Reader

    own_id, name = local_user()
    path = " ".join(["aitap", *click.get_current_context().command_path.split()[1:]])
    return Reader(user_id=own_id, api_key_id=None, address=platform.node(), path=path, query="", username=name)
