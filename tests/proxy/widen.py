"""Loaded into mitmdump beside the addon: opens another listener, for everybody, once a file is there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from mitmproxy import ctx

_tasks: list[asyncio.Task[None]] = []


def running() -> None:
    _tasks.append(asyncio.get_running_loop().create_task(_wait()))


async def _wait() -> None:
    sign = Path(os.environ["TEST_WIDEN"])
    while not sign.exists():
        await asyncio.sleep(0.02)
    ctx.options.update(mode=["regular", f"regular@0.0.0.0:{sign.read_text()}"])
