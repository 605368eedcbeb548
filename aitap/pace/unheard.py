"""Lines of the log that nobody hears as events are not made into events.

For scripts of old, mitmproxy writes each line of its log out a second time, wakes the event loop by a thread's means
and asks every addon whether it has ``add_log``; a streamed response makes one such line. Where none has it, the
line is not written out. Handlers of the log, the terminal's among them, see all lines as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy.addonmanager import traverse
from mitmproxy.log import AddLogHook, LegacyLogEvents

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from aitap.access.grafts import Grafts
    from aitap.pace.chains import Chains

__all__ = ["RELIES_ON", "leave_unheard"]

RELIES_ON = (LegacyLogEvents.emit, traverse)


def leave_unheard(grafts: Grafts, chains: Chains) -> None:
    """Make no event of a line for which no addon has a hook."""

    def emit(original: Callable[..., Any]) -> Callable[..., Any]:
        def told(self: LegacyLogEvents, record: logging.LogRecord) -> None:
            listening = chains.of(self.master.addons, AddLogHook.name).chain
            if any(hasattr(addon, AddLogHook.name) for addon in traverse(listening)):  # type: ignore[no-untyped-call]
                original(self, record)

        return told

    grafts.put(LegacyLogEvents, "emit", emit)
