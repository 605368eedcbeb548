"""One answer for the check and the dial."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from aitap.access.egress import resolver as module
from aitap.access.egress.destinations import Destinations, Refused
from aitap.access.egress.resolver import Resolver

JUDGE = Destinations({443}, ()).to("turning.example", 443, local=False).refused


def run(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(scenario)


def resolving(*answers: list[str]) -> Resolver:
    """On a loop whose resolver gives these answers in turn, the last for ever."""
    loop = asyncio.get_running_loop()
    turns = list(answers)

    async def below(host: Any, port: Any, **_: Any) -> list[Any]:
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    loop.getaddrinfo = below  # type: ignore[method-assign]
    resolver = Resolver(loop)
    resolver.install()
    return resolver


async def dialled(judge: Any) -> list[str]:
    """What asyncio would try, in order."""
    Resolver.judge(judge)
    how = {"family": 0, "type": socket.SOCK_STREAM, "proto": 0, "flags": 0}
    found = await asyncio.get_running_loop().getaddrinfo("turning.example", 443, **how)
    return [str(answer[4][0]) for answer in found]


def test_what_is_dialled_is_what_was_checked() -> None:
    async def scenario() -> None:
        resolver = resolving(["8.8.8.8"], ["127.0.0.1"])
        assert await resolver.addresses("turning.example", 443) == [ipaddress.ip_address("8.8.8.8")]
        assert await dialled(JUDGE) == ["8.8.8.8"]

    run(scenario())


def test_an_answer_that_turned_private_is_refused_at_the_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0)

    async def scenario() -> None:
        resolver = resolving(["8.8.8.8"], ["127.0.0.1"])
        await resolver.addresses("turning.example", 443)
        with pytest.raises(OSError, match="leads to a loopback address"):
            await dialled(JUDGE)

    run(scenario())


def test_of_several_addresses_only_the_public_ones_are_tried() -> None:
    async def scenario() -> None:
        resolving(["10.0.0.1", "8.8.8.8", "127.0.0.1", "1.1.1.1"])
        assert await dialled(JUDGE) == ["8.8.8.8", "1.1.1.1"]

    run(scenario())


def test_what_nobody_judges_is_asked_as_before() -> None:
    async def scenario() -> None:
        resolving(["127.0.0.1"])
        assert await dialled(None) == ["127.0.0.1"]

    run(scenario())


def test_one_task_does_not_judge_for_another() -> None:
    async def scenario() -> None:
        resolving(["127.0.0.1"])

        async def refused() -> None:
            with pytest.raises(OSError):
                await dialled(lambda _: Refused("address", "no"))

        free = asyncio.create_task(dialled(None))
        await asyncio.create_task(refused())
        assert await free == ["127.0.0.1"]

    run(scenario())


def test_a_name_that_is_no_name_is_an_error_of_the_network() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        resolver = Resolver(loop)
        with pytest.raises(OSError):
            await resolver.addresses("a" * 70 + ".é.example", 443)

    run(scenario())


def test_a_resolver_that_is_removed_leaves_the_loop_as_it_was() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        before = loop.getaddrinfo
        resolver = Resolver(loop)
        resolver.install()
        resolver.remove()
        assert loop.getaddrinfo == before

    run(scenario())


def test_a_name_that_others_will_look_up_is_not_waited_for_twice() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        asked = []

        async def never(host: Any, port: Any, **_: Any) -> list[Any]:
            asked.append(host)
            await asyncio.Event().wait()
            return []

        loop.getaddrinfo = never  # type: ignore[method-assign]
        resolver = Resolver(loop)
        for _ in range(2):
            with pytest.raises(OSError):
                await resolver.addresses_soon("slow.example", 443, 0.01)
        assert asked == ["slow.example"]

    run(scenario())
