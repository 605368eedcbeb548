"""Addons are asked as mitmproxy asks them: the same ones, in the same order, with the same end."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions, http, options
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import taddons, tflow
from mitmproxy.tools.dump import DumpMaster

from aitap.pace.asking import ask
from aitap.pace.chains import Chains

Heard = list[str]
VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("VALUE", default="unset")


def addon(name: str, heard: Heard, does: Callable[[], Any] | None = None, **more: Any) -> Any:
    def request(flow: http.HTTPFlow) -> Any:
        heard.append(f"{name} {VALUE.get()}")
        return does() if does else None

    def update(flows: list[http.HTTPFlow]) -> None:
        heard.append(f"{name} update of {len(flows)}")

    return SimpleNamespace(**{"name": name, "request": request, "update": update, **more})


def fail() -> None:
    raise ValueError("a script's")


def halt() -> None:
    raise exceptions.AddonHalt


def refuse_option() -> None:
    raise exceptions.OptionsError("an option's")  # type: ignore[no-untyped-call]


def note() -> None:
    VALUE.set("set")


async def wait() -> None:
    await asyncio.sleep(0)


async def wait_and_fail() -> None:
    await asyncio.sleep(0)
    fail()


async def wait_and_halt() -> None:
    await asyncio.sleep(0)
    halt()


async def wait_and_note() -> None:
    await asyncio.sleep(0)
    note()


DOING = (None, fail, halt, refuse_option, note, wait, wait_and_fail, wait_and_halt, wait_and_note, lambda: "a word")


def crew(heard: Heard, does: Any, then: Any) -> list[Any]:
    children = [addon("child", heard, does), addon("grandparent", heard, addons=[addon("grandchild", heard, then)])]
    return [
        addon("first", heard),
        addon("no hook", heard, request=None),
        addon("a module", heard, request=logging),
        addon("no function", heard, request=1),
        addon("parent", heard, addons=children),
        addon("second", heard, then),
        addon("slow to update", heard, update=lambda _: wait()),
        addon("last", heard),
    ]


def run(does: Any, then: Any, caplog: pytest.LogCaptureFixture, *, straight: bool) -> tuple[Heard, list[str], str]:
    """What was heard and logged, and how it ended."""
    heard: Heard = []
    ended = []
    caplog.clear()

    async def main() -> None:
        with taddons.context(*crew(heard, does, then)) as context:  # type: ignore[no-untyped-call]
            manager = context.master.addons
            event = HttpRequestHook(tflow.tflow())
            try:
                if not straight:
                    await asyncio.create_task(manager.handle_lifecycle(event))
                elif (rest := ask(Chains(), manager, event, event.flow)) is not None:
                    await rest()
            except Exception as error:  # noqa: BLE001 - that is what is compared
                ended.append(repr(error))
            ended.append(VALUE.get())
            context.master._legacy_log_events.uninstall()

    asyncio.run(main())
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("mitmproxy")]
    return heard, [re.sub(r"0x\w+", "", line) for line in logged], str(ended)


@pytest.mark.parametrize("then", [None, wait, wait_and_halt, fail])
@pytest.mark.parametrize("does", DOING)
def test_who_is_asked_and_what_is_logged_is_as_with_mitmproxy(
    does: Any, then: Any, caplog: pytest.LogCaptureFixture
) -> None:
    alone = run(does, then, caplog, straight=False)
    assert alone[0]
    assert run(does, then, caplog, straight=True) == alone


def test_a_script_that_fails_is_logged_with_its_own_lines_alone(caplog: pytest.LogCaptureFixture) -> None:
    for does in (fail, wait_and_fail):
        run(does, None, caplog, straight=True)
        told = [logging.Formatter().format(record) for record in caplog.records if "a script's" in record.getMessage()]
        assert told
        assert all("pace/asking.py" not in text for text in told)


def test_addons_of_mitmproxys_that_have_nothing_to_do_are_left_out_and_others_not() -> None:
    async def main() -> list[bool]:
        master = DumpMaster(options.Options(), with_dumper=False)
        found = []
        for host in ("example.com", "mitm.it"):
            flow = tflow.tflow()
            flow.live = True
            flow.request.host, flow.request.port = host, 80
            flow.request.headers["host"] = host
            rest = ask(Chains(), master.addons, HttpRequestHook(flow), flow)
            found.append(rest is None)
            if rest is not None:
                await rest()
                assert flow.response is not None
        master._legacy_log_events.uninstall()
        return found

    assert asyncio.run(main()) == [True, False]
