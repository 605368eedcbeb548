"""A line of the log becomes an event where an addon has a hook for it, and only there."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from mitmproxy import options
from mitmproxy.tools.dump import DumpMaster

from aitap.access.grafts import Grafts
from aitap.pace.chains import Chains
from aitap.pace.unheard import leave_unheard


class Listener:
    """A script of old."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def add_log(self, entry: Any) -> None:
        self.heard.append(entry.msg)


@pytest.fixture
def grafts() -> Any:
    found = Grafts()
    leave_unheard(found, Chains())
    yield found
    found.remove()


def test_a_script_of_old_hears_every_line_also_one_within_another(grafts: Grafts) -> None:
    async def main() -> list[str]:
        master = DumpMaster(options.Options(), with_termlog=False, with_dumper=False)
        first, second = Listener(), Listener()
        second.name = "second"  # type: ignore[attr-defined]
        parent: Any = type("Parent", (), {"addons": [second]})()
        logging.getLogger("aitap.test").warning("before")
        master.addons.add(first, parent)  # type: ignore[no-untyped-call]
        logging.getLogger("aitap.test").warning("after")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        master._legacy_log_events.uninstall()
        assert second.heard[-1:] == first.heard[-1:]
        return [line.rpartition("] ")[2] for line in first.heard if "deprecated" not in line]

    assert asyncio.run(main()) == ["after"]


def test_where_nobody_listens_the_event_loop_is_not_woken(grafts: Grafts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[Any]:
        woken: list[Any] = []
        master = DumpMaster(options.Options(), with_termlog=False, with_dumper=False)
        monkeypatch.setattr(master.event_loop, "call_soon_threadsafe", lambda *called: woken.append(called))
        logging.getLogger("aitap.test").warning("unheard")
        master._legacy_log_events.uninstall()
        return woken

    assert asyncio.run(main()) == []
