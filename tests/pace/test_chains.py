"""Fewer addons are asked, and none that has something to say is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from mitmproxy import http, options
from mitmproxy.addonmanager import AddonManager
from mitmproxy.hooks import UpdateHook, all_hooks
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import tflow
from mitmproxy.tools.dump import DumpMaster

from aitap.access.grafts import Grafts
from aitap.pace.chains import Chains, ask_fewer


class Asked(AddonManager):
    """Notes whom it asks, by mitmproxy's own loop."""

    async def invoke_addon(self, addon: Any, event: Any) -> None:
        self.asked.append(addon)
        await super().invoke_addon(addon, event)  # type: ignore[no-untyped-call]

    asked: list[Any]


class Own:
    """An addon of the user's."""

    def __init__(self) -> None:
        self.heard: list[str] = []


@pytest.fixture
def fewer() -> Iterator[Grafts]:
    found = Grafts()
    ask_fewer(found, Chains())
    yield found
    found.remove()


def run(test: Callable[[Asked], Awaitable[None]]) -> None:
    async def main() -> None:
        manager = DumpMaster(options.Options(), with_dumper=False).addons
        manager.__class__ = Asked
        manager.asked = []
        await test(manager)

    asyncio.run(main())


def test_of_mitmproxys_addons_those_with_the_hook_are_asked_in_their_order(fewer: Grafts) -> None:
    async def test(manager: Asked) -> None:
        for name, hook in all_hooks.items():
            if name in ("load", "configure", "running", "done", "add_log"):
                continue
            manager.asked.clear()
            event = hook.__new__(hook)
            event.args = lambda: [None]
            # What the hooks do with nothing does not matter: mitmproxy logs it.
            await manager.trigger_event(event)  # type: ignore[no-untyped-call]
            due = [addon for addon in manager.chain if hasattr(addon, name)]
            assert [addon for addon in manager.asked if not hasattr(addon, "addons")] == due

    run(test)


def test_an_addon_of_the_users_is_asked_also_for_a_hook_that_it_got_later(fewer: Grafts) -> None:
    async def test(manager: Asked) -> None:
        own: Any = Own()
        manager.add(own)  # type: ignore[no-untyped-call]
        event = HttpRequestHook(tflow.tflow())
        await manager.trigger_event(event)  # type: ignore[no-untyped-call]

        def request(flow: http.HTTPFlow) -> None:
            own.heard.append(flow.request.method)

        own.request = request
        await manager.trigger_event(event)  # type: ignore[no-untyped-call]
        assert own.heard == ["GET"]

    run(test)


def test_who_came_and_who_went_is_seen_at_the_next_event(fewer: Grafts) -> None:
    async def test(manager: Asked) -> None:
        event = UpdateHook([tflow.tflow()])
        first, second = Own(), Own()
        second.name = "second"  # type: ignore[attr-defined]
        for change, asked in (
            (lambda: manager.add(first), [first]),  # type: ignore[no-untyped-call]
            (lambda: manager.add(second), [first, second]),  # type: ignore[no-untyped-call]
            (lambda: manager.remove(first), [second]),  # type: ignore[no-untyped-call]
        ):
            change()
            manager.asked.clear()
            await manager.trigger_event(event)  # type: ignore[no-untyped-call]
            assert [addon for addon in manager.asked if isinstance(addon, Own)] == asked

    run(test)


def test_when_the_proxy_has_ended_mitmproxy_asks_everybody_again() -> None:
    grafts = Grafts()
    own = AddonManager.__dict__["trigger_event"]
    ask_fewer(grafts, Chains())
    assert AddonManager.__dict__["trigger_event"] is not own
    grafts.remove()
    assert AddonManager.__dict__["trigger_event"] is own
