"""mitmproxy script: the addon of ``BENCH_ADDON`` with every hook and every tapped chunk timed.

Only for the bench's separate hook run, never for the comparison. At shutdown the durations go to
``BENCH_TIMES`` as JSON: nanoseconds of wall clock on mitmproxy's event loop, hook by hook, in order;
``chunk`` is the tap, ``empty`` a function that does nothing. Reading the clock takes longer than a
good tap, and how long depends on what ran before; so what it takes is measured anew right before
each call, and taken off.
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
    from collections.abc import Callable

    from mitmproxy import http

# mitmproxy calls these once in a process's life, not in a flow's.
LIFECYCLE = {"load", "configure", "running", "done"}

times: dict[str, array[int]] = {}


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, its durations noted under ``name``."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{name} is a coroutine: time on the loop cannot be told from waiting")
    note = times.setdefault(name, array("q")).append

    # One argument, as every hook of a flow or a connection and the tap have: unpacking more costs time of its own.
    def call(value: Any) -> Any:
        perf_counter_ns()  # the first reading after other code is slower than the next
        before = perf_counter_ns()
        start = perf_counter_ns()
        result = function(value)
        end = perf_counter_ns()
        note((end - start) - (start - before))
        return result

    return call


def tapped(flow: http.HTTPFlow) -> None:
    """Time the tap that the addon has put on a response."""
    if flow.response and callable(flow.response.stream):
        flow.response.stream = timed("chunk", flow.response.stream)


def wrap(addon: object) -> SimpleNamespace:
    """An addon that is ``addon`` with its hooks timed."""
    wrapped = SimpleNamespace(name=f"timed_{type(addon).__name__.lower()}")
    for name in all_hooks:
        hook = getattr(addon, name, None)
        if hook is None:
            continue
        if name in LIFECYCLE:
            setattr(wrapped, name, hook)
        elif name == "responseheaders":
            timed_hook = timed(name, hook)

            def responseheaders(flow: http.HTTPFlow, hook: Callable[..., Any] = timed_hook) -> None:
                hook(flow)
                tapped(flow)

            wrapped.responseheaders = responseheaders
        else:
            setattr(wrapped, name, timed(name, hook))
    return wrapped


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
