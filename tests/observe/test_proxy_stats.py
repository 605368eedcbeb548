"""The proxy process tells what it counts, when it has changed, and what it times is what hooks take."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aitap.observe.proxy_stats import HOOKS, ProxyStats


class Hooks:
    """An addon that counts."""

    def __init__(self) -> None:
        self.called = 0

    def requestheaders(self, flow: object) -> None:
        self.called += 1

    request = responseheaders = response = websocket_message = requestheaders


class Gate:
    """A part of the access control."""

    def __init__(self) -> None:
        self.refusals: Counter[str] = Counter()
        self.budgets = {("group", "interns", "month", "usd"): 0.9}


def test_what_changed_is_told_and_what_did_not_is_not() -> None:
    told: list[dict[str, Any]] = []
    later: list[Any] = []
    gate, counters = Gate(), {"dropped": 0}
    stats = ProxyStats(lambda news, _: told.append(news), lambda _, call: later.append(call), counters.copy, [gate, 1])
    stats.start(Hooks())
    later.pop()()
    assert [news["refusals"] for news in told] == [[]]
    gate.refusals["no key"] += 2
    later.pop()()
    assert told[-1]["refusals"] == [("gate", "no key", 2)]
    assert told[-1]["budgets"] == [("group", "interns", "month", "usd", 0.9)]
    counters["dropped"] = 5
    later.pop()()
    assert [news["dropped"] for news in told] == [0, 0, 5]
    stats.stop()
    assert len(told) == 3
    later.pop()()
    assert not later


def test_connections_that_are_read_are_counted_beside_tunnels() -> None:
    class Decryption:
        read_connections = 3

    told: list[dict[str, Any]] = []
    ProxyStats(lambda news, _: told.append(news), lambda *_: None, dict, [Gate(), Decryption()]).start(Hooks())
    assert told[-1]["read"] == 3


def test_one_call_in_sixteen_is_timed_and_every_one_is_made() -> None:
    hooks = Hooks()
    told: list[dict[str, Any]] = []
    stats = ProxyStats(lambda news, _: told.append(news), lambda *_: None, dict)
    stats.start(hooks)
    for _ in range(160):
        hooks.request(None)
    stats.stop()
    assert hooks.called == 160
    timed = {name: sum(counts) for name, counts, _ in told[-1]["hooks"]}
    assert timed == dict.fromkeys(HOOKS, 0) | {"request": 10}
