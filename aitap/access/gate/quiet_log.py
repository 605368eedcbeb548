"""Keeps mitmproxy from quoting, in its log, what clients sent: credentials among it.

A client that closes in the middle of a head or of a SOCKS5 handshake, or whose head cannot be read, is quoted
byte for byte. The line stays, the quotation goes.
"""

from __future__ import annotations

import logging
import re

__all__ = ["Unquoted", "unquote_clients"]

_QUOTING = re.compile(
    r"(Client closed connection before completing [\w ]+:|Bad HTTP request line:|Invalid header line:|"
    r"Unsupported SOCKS5 request:|Deferring layer decision, not enough data:|Invalid SOCKS version.) .*",
    re.DOTALL,
)
_LOGGERS = ("mitmproxy.proxy.server", "mitmproxy.addons.next_layer")


class Unquoted(logging.Filter):
    """Cuts the quotation off."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the message in place; always true."""
        if isinstance(record.msg, str) and not record.args:
            record.msg = _QUOTING.sub(r"\1 ...", record.msg)
        return True


def unquote_clients() -> None:
    """Do so from now on; once is enough."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Unquoted) for known in logger.filters):
            logger.addFilter(Unquoted())
