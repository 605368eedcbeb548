"""What a proxy that ``aitap run`` starts tells on its output: what matters, when it happens.

mitmproxy tells of every client and every server that comes and goes. One agent makes some dozens of such lines a
minute, and what matters (a client that does not trust the CA, a provider that cannot be reached, records that wait) is
lost among them. Warnings and errors of connections are told as ever; so is everything to who starts mitmdump by hand.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["tell_what_matters"]

_MORE = ("-v", "--verbose", "termlog_verbosity")
"""What asks for more among mitmdump's arguments."""


def tell_what_matters(arguments: Sequence[str]) -> None:
    """In this process; all of it where something among mitmdump's ``arguments`` says how much it shall tell."""
    # What happens is told when it happens, in a file or a journal too.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if not any(word.removeprefix("--set=").startswith(_MORE) for word in arguments):
        logging.getLogger("mitmproxy.proxy.server").setLevel(logging.WARNING)
