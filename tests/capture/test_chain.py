"""Many addons as one: asked in order, waited for, and left alone once they have nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from mitmproxy import exceptions, http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.hooks import DoneHook
from mitmproxy.proxy.layers.http import HttpRequestHeadersHook
from mitmproxy.test import taddons, tflow

from aitap.capture.chain import Chain


class Part:
    """Notes when it is asked."""

    def __init__(self, name: str, heard: list[str]) -> None:
        self.name = name
        self.heard = heard
        self.idle = False

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        self.heard.append(self.name)
        return None


class Slow(Part):
    """Has to be waited for."""

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        return self._later()

    async def _later(self) -> None:
        await asyncio.sleep(0)
        self.heard.append(self.name)


class Halting(Part):
    """Ends the asking."""

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        raise exceptions.AddonHalt


class Idler(Part):
    """Finds at the start that there is nothing to do; wants to know of the end all the same."""

    def running(self) -> None:
        self.idle = True

    def done(self) -> None:
        self.heard.append(f"{self.name} done")


def asked(*kinds: type[Part], starts: bool = True) -> list[str]:
    """Who heard of a request's head, in order, as mitmproxy's own manager asks them."""
    heard: list[str] = []
    chain = Chain([kind(f"{number} {kind.__name__}", heard) for number, kind in enumerate(kinds)])

    async def main() -> None:
        with taddons.context(chain, loadcore=False) as context:
            manager: AddonManager = context.master.addons
            if starts:
                chain.running()
            await manager.trigger_event(HttpRequestHeadersHook(tflow.tflow()))  # type: ignore[no-untyped-call]
            await manager.trigger_event(DoneHook())

    asyncio.run(main())
    return heard


def test_parts_are_asked_in_their_order() -> None:
    assert asked(Part, Part, Part)[:3] == ["0 Part", "1 Part", "2 Part"]


@pytest.mark.parametrize("kinds", [(Slow, Part), (Part, Slow, Slow, Part)])
def test_one_that_takes_its_time_is_waited_for_before_the_next(kinds: tuple[type[Part], ...]) -> None:
    assert asked(*kinds) == [f"{number} {kind.__name__}" for number, kind in enumerate(kinds)]


@pytest.mark.parametrize("before", [Part, Slow])
def test_one_that_halts_is_the_last_that_is_asked(before: type[Part]) -> None:
    assert asked(before, Halting, Part) == [f"0 {before.__name__}"]


def test_who_is_idle_after_the_start_is_not_asked_any_more_but_told_of_the_end() -> None:
    assert asked(Idler, Part) == ["1 Part", "0 Idler done"]
    assert asked(Idler, Part, starts=False)[:2] == ["0 Idler", "1 Part"]


def test_a_hook_that_no_part_has_is_none_of_the_chains() -> None:
    assert not hasattr(Chain([Part("one", [])]), "response")
