"""mitmproxy's own addons are asked at the events they have a hook for, and left alone at the others.

mitmproxy brings some three dozen addons and asks each of them at each of the eight events of a request, though at
most of these two or three of them have a hook; the asking takes longer than all that the hooks do. Here the chain that
mitmproxy goes through has only those that have one, in the same order. Addons and scripts of the user, and whatever
brings addons of its own, are always asked: what they have may change while the proxy runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy.addonmanager import AddonManager

from aitap.access.grafts import Grafts

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.hooks import Hook

    from aitap.access.startup import Startup

__all__ = ["Chains", "Shortcut"]


class _Few:
    """An addon manager with a shorter chain."""

    def __init__(self, manager: AddonManager, chain: list[Any]) -> None:
        self.chain = chain
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


class Chains:
    """For each event the addons that may have a hook for it, found anew when others come or go."""

    def __init__(self) -> None:
        self._manager: AddonManager | None = None
        self._chain: list[Any] = []
        self._few: dict[str, _Few] = {}

    def of(self, manager: AddonManager, name: str) -> _Few:
        """The manager with those that may have this hook, in their order."""
        if manager.chain != self._chain or manager is not self._manager:
            self._manager, self._chain, self._few = manager, list(manager.chain), {}
        few = self._few.get(name)
        if few is None:
            few = self._few[name] = _Few(manager, [addon for addon in self._chain if _may_have(addon, name)])
        return few


class Shortcut:
    """A part of the proxy (see :class:`aitap.access.startup.Part`)."""

    idle = True  # it has no hooks of its own

    def __init__(self) -> None:
        self._grafts = Grafts()
        self._chains = Chains()

    def start(self, startup: Startup) -> None:  # noqa: ARG002 - as every part
        """Begin."""
        self._grafts.put(AddonManager, "trigger_event", self._trigger_event)

    def stop(self) -> None:
        """The proxy ends."""
        self._grafts.remove()

    def _trigger_event(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def trigger_event(manager: AddonManager, event: Hook) -> Any:
            return original(self._chains.of(manager, event.name), event)

        return trigger_event


def _may_have(addon: object, name: str) -> bool:
    own = type(addon).__module__.partition(".")[0] == "mitmproxy" and not hasattr(addon, "addons")
    return not own or hasattr(addon, name)
