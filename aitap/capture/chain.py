"""Many addons as one: mitmproxy asks each addon it has at each event, and ours are asked by a list that is short.

What mitmproxy promises of addons that one script brings holds here, too: they are asked in their order, a hook that
gives something to wait for is waited for before the next is asked, and what a hook raises is for mitmproxy, and the
end of asking. Asking an addon that has nothing to say costs mitmproxy a microsecond at each of eight events a
request, which every stream of the proxy waits for; so a part that is ``idle`` once all are started is not asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy.hooks import all_hooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

__all__ = ["Chain"]

Hook = Any
"""A function of any arguments that gives None, or something to wait for."""


class Chain:
    """An addon that has the hooks of these, and is asked in their place."""

    name = "aitap"

    def __init__(self, parts: Iterable[object]) -> None:
        self._parts = list(parts)
        self._hooks: dict[str, list[Hook]] = {name: _hooks(self._parts, name) for name in all_hooks}
        for name, hooks in self._hooks.items():
            if hooks and name != "running":
                setattr(self, name, _asking(hooks))

    def running(self) -> None:
        """The parts start; from now on the idle are left out."""
        for hook in self._hooks["running"]:
            hook()
        busy = [part for part in self._parts if not getattr(part, "idle", False)]
        for name, hooks in self._hooks.items():
            if name != "done":
                # The lists stay the same objects: who measures may hold the functions that ask.
                hooks[:] = _hooks(busy, name)


def _hooks(parts: Iterable[object], name: str) -> list[Hook]:
    return [getattr(part, name) for part in parts if hasattr(part, name)]


def _asking(hooks: list[Hook]) -> Callable[..., Awaitable[None] | None]:
    def ask(*subject: object) -> Awaitable[None] | None:
        rest = iter(hooks)
        for hook in rest:
            later = hook(*subject)
            if later is not None:
                return _go_on(later, rest, subject)
        return None

    return ask


async def _go_on(later: Awaitable[None], rest: Iterator[Hook], subject: tuple[object, ...]) -> None:
    await later
    for hook in rest:
        later = hook(*subject)
        if later is not None:
            await later
