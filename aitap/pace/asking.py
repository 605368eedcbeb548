"""Addons asked about a flow right where the event is, and not by a task that comes back later.

mitmproxy makes a task for each event of a flow, asks every addon in it, asks all of them again whether they want to
see a flow that may have changed, and goes back through all its layers in the event loop's next turn. Most addons
answer at once. So here they are called one after the other, as mitmproxy calls them: in their order, in a context
of the event's own (:mod:`contextvars`), what one raises logged by mitmproxy's own words and the next asked, and
``AddonHalt`` the end of it. With the first that gives something to wait for, the rest is left to mitmproxy's task.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import types
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from mitmproxy import addonmanager, exceptions
from mitmproxy.addonmanager import AddonManager, safecall
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.hooks import UpdateHook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from mitmproxy.hooks import Hook
    from mitmproxy.http import HTTPFlow

    from aitap.pace.chains import Chains

__all__ = ["RELIES_ON", "ask"]

RELIES_ON = (
    AddonManager.handle_lifecycle,
    AddonManager.invoke_addon,
    AddonManager._iter_hooks,
    AddonManager.trigger_event,
    ASGIApp.request,
    ASGIApp.should_serve,
    MapLocal.request,
    addonmanager.cut_traceback,
    addonmanager.safecall,
    addonmanager.traverse,
)

_IDLE: dict[type, Callable[[Any, HTTPFlow], bool]] = {
    # It would be a coroutine, at every request of the world, to say that this one is not for mitm.it.
    Onboarding: lambda addon, flow: not addon.should_serve(flow),
    # It writes the URL down before it looks whether there is anything to compare it with.
    MapLocal: lambda addon, flow: not addon.replacements,  # noqa: ARG005
}
"""Addons of mitmproxy's that need not be asked about a request of which this is true."""


def ask(
    chains: Chains, manager: AddonManager, hook: Hook, flow: HTTPFlow
) -> Callable[[], Coroutine[Any, Any, None]] | None:
    """What :meth:`AddonManager.handle_lifecycle` does. None where all is done, else a function that does the rest."""
    context = contextvars.copy_context()
    return context.run(_ask, chains, manager, hook, flow, context)


def _ask(
    chains: Chains, manager: AddonManager, hook: Hook, flow: HTTPFlow, context: contextvars.Context
) -> Callable[[], Coroutine[Any, Any, None]] | None:
    event: Hook | None = hook
    name, subject = hook.name, flow
    while True:
        addons = iter(chains.of(manager, name).chain)
        for addon in addons:
            try:
                later = invoke_addon(addon, name, subject)
            except exceptions.AddonHalt:
                break
            except (exceptions.OptionsError, asyncio.CancelledError) as error:
                return functools.partial(_raise, error)
            except Exception as error:  # noqa: BLE001 - logged there
                later = None
                _log(error)
            if later is not None:
                rest = _Rest(manager, event or UpdateHook([flow]), flow, addons)
                return functools.partial(rest.run, *later, context)
        if event is None:
            return None
        event, name, subject = None, UpdateHook.name, [flow]  # type: ignore[assignment]


def invoke_addon(addon: Any, name: str, subject: Any) -> tuple[Awaitable[Any], Iterator[Any]] | None:
    """Call the hooks of an addon and its children; what is to be waited for, and who comes then.

    It has the name of mitmproxy's: where a script fails, mitmproxy leaves out what is above this in its log.
    """
    idle = _IDLE.get(addon.__class__)
    if idle is not None and name == "request" and idle(addon, subject):
        return None
    family = iter(_family(addon)) if hasattr(addon, "addons") else iter((addon,))
    for one in family:
        hook = getattr(one, name, None)
        if hook and _is_hook(one, name, hook):
            later = hook(subject)
            if later is not None and isawaitable(later):
                return later, family
    return None


def _family(addon: Any) -> list[Any]:
    found = [addon]
    for child in getattr(addon, "addons", ()):
        found += _family(child) if hasattr(child, "addons") else (child,)
    return found


def _is_hook(addon: Any, name: str, hook: Any) -> bool:
    if callable(hook):
        return True
    if isinstance(hook, types.ModuleType):  # a script has imported what is called as the event is
        return False
    raise exceptions.AddonManagerError(f"Addon handler {name} ({addon}) not callable")  # type: ignore[no-untyped-call]


class _Rest:
    """What is left to do from the first addon on that is to be waited for."""

    def __init__(self, manager: AddonManager, event: Hook, flow: HTTPFlow, addons: Iterator[Any]) -> None:
        self._manager = manager
        self._event = event
        self._flow = flow
        self._addons = addons

    async def run(self, later: Awaitable[Any], family: Iterator[Any], context: contextvars.Context) -> None:
        """Do it, in the context in which the others were asked."""
        task = asyncio.get_running_loop().create_task(self._run(later, family), context=context)
        task.set_name(f"handle_hook({self._event.name})")
        await task

    async def _run(self, later: Awaitable[Any], family: Iterator[Any]) -> None:
        manager, event = self._manager, self._event
        halted = not await self._safely(self.invoke_addon(later, family))
        for addon in self._addons if not halted else ():
            if not await self._safely(manager.invoke_addon(addon, event)):
                break
        if event.name != UpdateHook.name:
            await manager.trigger_event(UpdateHook([self._flow]))

    @staticmethod
    async def _safely(asked: Coroutine[Any, Any, None]) -> bool:
        try:
            with safecall():
                await asked
        except exceptions.AddonHalt:
            return False
        return True

    async def invoke_addon(self, later: Awaitable[Any], family: Iterator[Any]) -> None:
        """The rest of one addon and its children."""
        name = self._event.name
        subject = self._flow if name != UpdateHook.name else [self._flow]
        await later
        for one in family:
            hook = getattr(one, name, None)
            if hook and _is_hook(one, name, hook):
                found = hook(subject)
                if found is not None and isawaitable(found):
                    await found


def _log(error: Exception) -> None:
    with safecall():
        raise error


async def _raise(error: BaseException) -> None:
    raise error
