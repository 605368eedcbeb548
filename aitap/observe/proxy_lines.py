"""mitmproxy's lines on each connection are left out, unless somebody asked for more.

It tells of every client and every server that comes and goes. One agent makes some dozens of such lines a minute, and
what matters (a client that does not trust the CA, a provider that cannot be reached, records that wait) is lost among
them. Warnings and errors of connections are told as ever; so is everything to who starts mitmdump by hand.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["leave_out"]

_MORE = ("-v", "--verbose", "termlog_verbosity")
"""What asks for more among mitmdump's arguments."""


def leave_out(arguments: Sequence[str]) -> None:
    """In this process, where nothing among mitmdump's ``arguments`` says how much it shall tell."""
    if not any(word.removeprefix("--set=").startswith(_MORE) for word in arguments):
        logging.getLogger("mitmproxy.proxy.server").setLevel(logging.WARNING)
