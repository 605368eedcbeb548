"""mitmproxy script: the addons of ``BENCH_ADDON`` with every hook and every tapped chunk timed.

Only for the bench's separate hook run, never for the comparison. At shutdown the durations go to
``BENCH_TIMES`` as JSON: nanoseconds of wall clock on mitmproxy's event loop, hook by hook of each addon, in
order; ``chunk`` is the tap, ``empty`` a function that does nothing. Of a hook that waits, what it runs itself
counts, and not the waiting. Also timed is an addon that another one puts beside the scripts when it is
loaded. Reading the clock takes longer than a good tap, and how long depends on what ran before; so what it
takes is measured anew right before each call, and taken off.
"""

from __future__ import annotations

import inspect
import json
import os
import runpy
import sys
from array import array
from pathlib import Path
from time import perf_counter_ns
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mitmproxy.hooks import all_hooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from mitmproxy import http
    from mitmproxy.addonmanager import Loader

# mitmproxy calls these once in a process's life, not in a flow's.
LIFECYCLE = {"load", "configure", "running", "done"}

times: dict[str, array[int]] = {}


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, its durations noted under ``name``."""
    note = times.setdefault(name, array("q")).append

    # One argument, as every hook of a flow or a connection and the tap have: unpacking more costs time of its own.
    def call(value: Any) -> Any:
        perf_counter_ns()  # the first reading after other code is slower than the next
        before = perf_counter_ns()
        start = perf_counter_ns()
        result = function(value)
        end = perf_counter_ns()
        spent = (end - start) - (start - before)
        if result is not None and inspect.isawaitable(result):
            return Waiting(result, spent, note)
        note(spent)
        return result

    return call


class Waiting:
    """What a hook gives mitmproxy to wait for; notes the time that it runs."""

    def __init__(self, awaitable: Awaitable[Any], spent: int, note: Callable[[int], None]) -> None:
        self._awaitable = awaitable
        self._spent = spent
        self._note = note

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable.__await__()
        given = None
        while True:
            before = perf_counter_ns()
            start = perf_counter_ns()
            over = True
            try:
                wanted = steps.send(given)  # type: ignore[attr-defined]
                over = False
            except StopIteration as end:
                return end.value
            finally:
                self._spent += (perf_counter_ns() - start) - (start - before)
                if over:
                    self._note(self._spent)
            given = yield wanted


def tapped(flow: http.HTTPFlow) -> None:
    """Time the tap that an addon has put on a response."""
    if flow.response and callable(flow.response.stream) and not hasattr(flow.response.stream, "timed"):
        stream = timed("chunk", flow.response.stream)
        stream.timed = True  # type: ignore[attr-defined]
        flow.response.stream = stream


def wrap(addon: object) -> SimpleNamespace:
    """An addon that is ``addon`` with its hooks timed."""
    part = type(addon).__name__.lower()
    wrapped = SimpleNamespace(name=f"timed_{part}")
    for name in all_hooks:
        hook = getattr(addon, name, None)
        if hook is None:
            continue
        if name == "load":
            wrapped.load = loading(hook)
        elif name in LIFECYCLE:
            setattr(wrapped, name, hook)
        elif name == "responseheaders":
            timed_hook = timed(f"{part}.{name}", hook)

            def responseheaders(flow: http.HTTPFlow, hook: Callable[..., Any] = timed_hook) -> None:
                hook(flow)
                tapped(flow)

            wrapped.responseheaders = responseheaders
        else:
            setattr(wrapped, name, timed(f"{part}.{name}", hook))
    return wrapped


def loading(load: Callable[[Loader], None]) -> Callable[[Loader], None]:
    """``load``, and what it puts among mitmproxy's addons is timed, too."""

    def call(loader: Loader) -> None:
        addons = loader.master.addons
        before = list(addons.chain)
        load(loader)
        addons.chain = [addon if addon in before else wrap(addon) for addon in addons.chain]

    return call


class Report:
    """Writes what was measured when the proxy ends."""

    def done(self) -> None:
        """Write the file."""
        found = {name: list(values) for name, values in times.items()}
        Path(os.environ["BENCH_TIMES"]).write_text(json.dumps(found), encoding="utf-8")


def calibrate() -> None:
    """Time a function that does nothing, to tell what part of a figure is the call itself."""
    empty = timed("empty", lambda _: None)
    for _ in range(20_000):
        empty(None)


calibrate()
script = Path(os.environ["BENCH_ADDON"])
sys.path.insert(0, str(script.parent))
addons = [*map(wrap, runpy.run_path(str(script))["addons"]), Report()]
