"""Loaded into mitmdump beside the addon: whatever host a connection is meant for, loopback answers.

mitmproxy itself still believes it reached the provider, so that its routing, its pooling of connections,
TLS and the addon's view of a flow are those of real traffic.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

_open = asyncio.open_connection


async def _to_upstream(host: str, port: int, **options: Any) -> Any:
    return await _open("127.0.0.1", int(os.environ["TEST_UPSTREAM_PORT"]))


asyncio.open_connection = _to_upstream
