"""Loaded into mitmdump beside the addon: names lead where a test wants them, one answer after the other.

It stands below asyncio, where a name server would. ``TEST_NAMES`` is JSON: ``{name: [[address, ...], ...]}``;
the last answer is given for ever. With ``TEST_FRESH`` the addon forgets what it asked after so many seconds.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import aitap.access.egress.resolver

if "TEST_FRESH" in os.environ:
    aitap.access.egress.resolver.FRESH = float(os.environ["TEST_FRESH"])

_answers: dict[str, list[list[str]]] = json.loads(os.environ.get("TEST_NAMES", "{}"))
_below = socket.getaddrinfo


def _getaddrinfo(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    turns = _answers.get(name)
    if turns is None:
        # No other name leads anywhere, and nobody is asked; spellings of addresses are for the real resolver.
        is_name = name and any(letter.isalpha() for letter in name) and not name.startswith("0x") and ":" not in name
        if is_name and name != "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return _below(host, port, *arguments, **named)
    addresses = turns.pop(0) if len(turns) > 1 else turns[0]
    return [found for address in addresses for found in _below(address, port, *arguments, **named)]


socket.getaddrinfo = _getaddrinfo
