"""What the proxy process itself counts, for the metrics: told to the recorder process now and then.

The recorder's end is :class:`aitap.observe.process_metrics.ProcessMetrics`. Nothing of this runs unless
metrics are on. Of the hooks, one call in 16 is timed: what that costs cannot be measured. The rest are plain
counters of others, looked at every few seconds; what has not changed is not told.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from aitap.observe.metric_table import HOOK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["HOOKS", "ProxyStats"]

HOOKS = ("requestheaders", "request", "responseheaders", "response", "websocket_message")
_EVERY = 16
_SECONDS = 5.0


class ProxyStats:
    """Counts on the event loop. ``tell`` takes what changed; ``call_later`` is the loop's.

    ``look`` gives counters by name; ``parts`` are those of the access control, which may have ``refusals``,
    ``budgets`` (how much of each is used up) and ``read_connections``.
    """

    def __init__(
        self,
        tell: Callable[[dict[str, Any], float], None],
        call_later: Callable[..., Any],
        look: Callable[[], dict[str, int]],
        parts: Iterable[object] = (),
    ) -> None:
        self._tell = tell
        self._call_later = call_later
        self._look = look
        self._parts = tuple(parts)
        self._times: dict[str, list[int]] = {}
        self._spent: dict[str, float] = {}
        self._last: dict[str, Any] = {}
        self._over = False

    def start(self, hooks: object) -> None:
        """Time the hooks of this addon from now on, and tell every few seconds."""
        for name in HOOKS:
            setattr(hooks, name, self._timed(name, getattr(hooks, name)))
        self._turn()

    def stop(self) -> None:
        """Tell a last time."""
        self._over = True
        self._tell_news()

    def _turn(self) -> None:
        if not self._over:
            self._tell_news()
            self._call_later(_SECONDS, self._turn)

    def _tell_news(self) -> None:
        news = self._now()
        if news != self._last:
            self._last = news
            self._tell(news, time())

    def _now(self) -> dict[str, Any]:
        refusals = []
        budgets: list[tuple[str, str, str, str, float]] = []
        for part in self._parts:
            budgets += [(*key, ratio) for key, ratio in getattr(part, "budgets", {}).items()]
            counted = getattr(part, "refusals", None)
            if isinstance(counted, Mapping):
                refusals += [(type(part).__name__.lower(), reason, count) for reason, count in counted.items()]
            elif isinstance(counted, int) and counted:
                refusals.append((type(part).__name__.lower(), "", counted))
        hooks = [(name, tuple(counts), self._spent[name]) for name, counts in self._times.items()]
        read = sum(getattr(part, "read_connections", 0) for part in self._parts)
        return {**self._look(), "refusals": refusals, "budgets": budgets, "hooks": hooks, "read": read}

    def _timed(self, name: str, hook: Callable[[Any], None]) -> Callable[[Any], None]:
        counts = self._times[name] = [0] * (len(HOOK_SECONDS) + 1)
        self._spent[name] = 0.0
        left = 1

        def timed(flow: Any) -> None:
            nonlocal left
            left -= 1
            if left:
                hook(flow)
                return
            left = _EVERY
            begun = perf_counter()
            hook(flow)
            spent = perf_counter() - begun
            counts[bisect_left(HOOK_SECONDS, spent)] += 1
            self._spent[name] += spent

        return timed
