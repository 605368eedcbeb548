"""What recording costs and whether it loses anything, as the running proxy counts it (``metrics_listen``)."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections import defaultdict
from typing import TYPE_CHECKING

from aitap import settings
from aitap.checkup.finding import Finding, ok, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.checkup.situation import Situation

__all__ = ["check_metrics"]

_SECONDS = 3.0
_MOST_BYTES = 16 << 20
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - and that of these which is this machine's
_SAMPLE = re.compile(r"(aitap_\w+)(?:\{(.*)\})? (\S+)")
_HOOK = re.compile(r'hook="(\w+)"')
_OF_A_REQUEST = ("requestheaders", "request", "responseheaders", "response")
_TOO_LONG = 0.001
"""Seconds of the event loop for a request: ten times what it takes on a machine that has time."""

Samples = dict[str, dict[str, float]]


def check_metrics(situation: Situation) -> Iterator[Finding]:
    """Ask the proxy on this machine, where it tells."""
    if not situation.here:
        return
    try:
        place = settings.load({"database_url": situation.database_url}, situation.environ).metrics_listen
    except settings.SettingsError:
        return  # the checks of the settings say so
    if place is None:
        yield ok("metrics.address", "what recording costs is not told: metrics_listen = 127.0.0.1:9464 would")
        return
    host = _ANY.get(place[0], place[0])
    url = f"http://{f'[{host}]' if ':' in host else host}:{place[1]}/metrics"
    try:
        samples = _read(url)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        yield warning(
            "metrics.address",
            f"{url} does not answer: {reason}",
            "start the proxy; its log says who has the port",
        )
        return
    yield from _losses(samples)
    yield from _overhead(samples)


def _read(url: str) -> Samples:
    """The samples by name and labels. Raises ``OSError`` and ``ValueError``."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
    with opener.open(url, timeout=_SECONDS) as answer:
        text = answer.read(_MOST_BYTES).decode()
    found: Samples = defaultdict(dict)
    for line in text.splitlines():
        if match := _SAMPLE.fullmatch(line):
            found[match[1]][match[2] or ""] = float(match[3])
    if not found:
        raise ValueError("it is not aitap's")
    return found


def _losses(samples: Samples) -> Iterator[Finding]:
    lost = sum(samples["aitap_records_lost_total"].values())
    passed = sum(samples["aitap_unrecorded_exchanges_total"].values())
    dropped = sum(samples["aitap_recorder_dropped_items_total"].values())
    if lost or passed or dropped:
        yield problem(
            "metrics.lost",
            f"since it was started the proxy lost {lost:g} records, let {passed:g} exchanges pass unrecorded "
            f"and dropped {dropped:g} pieces of traffic",
            "its log says why",
        )
    else:
        written = sum(samples["aitap_records_written_total"].values())
        yield ok("metrics.lost", f"nothing was lost since the proxy was started; {written:g} records were written")


def _overhead(samples: Samples) -> Iterator[Finding]:
    sums, counts = samples["aitap_hook_seconds_sum"], samples["aitap_hook_seconds_count"]
    means = {
        match[1]: sums[labels] / count
        for labels, count in counts.items()
        if count and labels in sums and (match := _HOOK.search(labels))
    }
    if not all(name in means for name in _OF_A_REQUEST):
        return  # one call in 16 is timed, and there were too few
    mean = sum(means[name] for name in _OF_A_REQUEST)
    what = f"recording takes {mean * 1e6:.0f} us of the proxy's event loop for each request"
    if mean > _TOO_LONG:
        yield warning("metrics.overhead", what, "the machine has too little CPU for it: give it more")
    else:
        yield ok("metrics.overhead", what)
