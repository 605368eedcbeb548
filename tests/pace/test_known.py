"""A shorter way is only taken where mitmproxy's own is the one that it stands for."""

from __future__ import annotations

import inspect
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons

from aitap.access.grafts import Grafts
from aitap.pace import known, lookups
from aitap.pace.pace import Pace
from tests.pace.proxying import STARTUP


def relied_on() -> list[Any]:
    with taddons.context(Proxyserver()):  # type: ignore[no-untyped-call]
        return [function for functions, _ in Pace().ways() for function in functions]


def owner_of(function: Any) -> Any:
    """The class that a method is of."""
    function = inspect.unwrap(function)
    owner, _, _ = function.__qualname__.rpartition(".")
    return getattr(sys.modules[function.__module__], owner) if owner else None


def test_every_function_that_is_stood_for_is_known_in_the_mitmproxy_that_is_installed() -> None:
    functions = relied_on()
    assert len(functions) > 30
    assert known.unknown(functions) == []


def test_nothing_is_known_that_nobody_relies_on() -> None:
    assert set(known.READ) == {known.name_of(function) for function in relied_on()}


def test_another_text_is_not_known_nor_is_none() -> None:
    def get_all() -> None:
        """Not mitmproxy's."""

    get_all.__module__, get_all.__qualname__ = "mitmproxy.http", "Headers.get_all"
    assert known.unknown([get_all, len, None]) == ["mitmproxy.http.Headers.get_all", "builtins.len", "None.None"]


def test_where_mitmproxys_code_is_another_it_stays_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(known.READ, "mitmproxy.http.Headers.get_all", frozenset())
    part = Pace()
    with taddons.context():  # type: ignore[no-untyped-call]
        part.start(STARTUP)
        try:
            assert "get" not in vars(http.Headers)
            assert "__post_init__" in vars(http.MessageData)
        finally:
            part.stop()


def test_whoever_wants_mitmproxys_own_ways_has_them() -> None:
    owners = {owner for function in relied_on() if (owner := owner_of(function))}
    assert {AddonManager, http.Headers} < owners
    before = {owner: dict(vars(owner)) for owner in owners}
    part = Pace()
    part.start(SimpleNamespace(settings=SimpleNamespace(shortcuts=False)))  # type: ignore[arg-type]
    assert {owner: dict(vars(owner)) for owner in owners} == before
    part.stop()


def test_all_is_as_it_was_when_the_part_has_ended() -> None:
    before = {kind: dict(vars(kind)) for kind in (http.Headers, http.MessageData)}
    grafts = Grafts()
    lookups.look_up_headers(grafts)
    lookups.make_messages(grafts)
    assert {kind: dict(vars(kind)) for kind in before} != before
    grafts.remove()
    assert {kind: dict(vars(kind)) for kind in before} == before
