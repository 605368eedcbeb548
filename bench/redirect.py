"""mitmproxy script: every connection to a provider goes to the loopback upstream instead.

Loaded by both variants. It replaces the one call that opens sockets, so that mitmproxy and the
addons see nothing but the provider's own host name and connections are reused as ever; a hook that
changed addresses would cost time per request and defeat mitmproxy's keep-alive.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

_port = int(os.environ["BENCH_UPSTREAM"])
_open_connection = asyncio.open_connection


async def _to_upstream(_host: str, _port_asked: int, **options: Any) -> Any:
    return await _open_connection("127.0.0.1", _port, **options)


asyncio.open_connection = _to_upstream  # type: ignore[assignment]
