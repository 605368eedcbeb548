"""mitmproxy's own addons are asked at the events they have a hook for, and left alone at the others.

mitmproxy brings some three dozen addons and asks each of them at each of the eight events of a request, though at
most of these two or three of them have a hook; the asking takes longer than all that the hooks do. Here the chain that
mitmproxy goes through has only those that have one, in the same order. Addons and scripts of the user, and whatever
brings addons of its own, are always asked: what they have may change while the proxy runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy.addonmanager import AddonManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy.hooks import Hook

    from aitap.access.grafts import Grafts

__all__ = ["RELIES_ON", "Chains", "ask_fewer"]

RELIES_ON = (AddonManager.trigger_event,)


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


def ask_fewer(grafts: Grafts, chains: Chains) -> None:
    """Leave out those of mitmproxy's addons that have no hook for an event."""

    def trigger_event(original: Callable[..., Any]) -> Callable[..., Any]:
        def trigger(manager: AddonManager, event: Hook) -> Any:
            return original(chains.of(manager, event.name), event)

        return trigger

    grafts.put(AddonManager, "trigger_event", trigger_event)


def _may_have(addon: object, name: str) -> bool:
    own = type(addon).__module__.partition(".")[0] == "mitmproxy" and not hasattr(addon, "addons")
    return not own or hasattr(addon, name)
