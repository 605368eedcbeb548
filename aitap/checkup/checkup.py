"""All checks at once: each group in a thread of its own, and none waited for longer than a person would."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from aitap.checkup.authority import check_authority
from aitap.checkup.clients import check_clients
from aitap.checkup.configuration import check_configuration
from aitap.checkup.finding import Finding, problem
from aitap.checkup.metrics import check_metrics
from aitap.checkup.processes import check_processes
from aitap.checkup.proxy import check_proxy
from aitap.checkup.records import check_records
from aitap.checkup.variables import check_variables
from aitap.checkup.versions import check_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aitap.checkup.situation import Situation

    Group = Callable[[Situation], Iterable[Finding]]

__all__ = ["GROUPS", "examine"]

GROUPS: dict[str, Group] = {
    "proxy": check_proxy,
    "CA": check_authority,
    "this shell": check_variables,
    "settings": check_configuration,
    "database": check_records,
    "recording": check_metrics,
    "clients": check_clients,
    "running": check_processes,
    "versions": check_versions,
}
"""The groups of checks, in the order in which they are shown."""

_SECONDS = 8.0


def examine(
    situation: Situation, groups: Mapping[str, Group] = GROUPS, seconds: float = _SECONDS
) -> dict[str, list[Finding]]:
    """What each group found. A group that fails or takes longer than all may, says so instead."""
    found: dict[str, list[Finding]] = {name: [] for name in groups}
    deadline = time.monotonic() + seconds
    threads = {}
    for name, group in groups.items():
        # Daemons: one that hangs in the resolver does not keep the program from its end.
        threads[name] = threading.Thread(target=_run, args=(group, situation, name, found[name]), daemon=True)
        threads[name].start()
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            late = problem(
                f"{_word(name)}.time", f"no answer within {seconds:g} s", "see whether a disk or the resolver hangs"
            )
            found[name] = [*found[name], late]
    return found


def _run(group: Group, situation: Situation, name: str, found: list[Finding]) -> None:
    try:
        found.extend(group(situation))
    except Exception as error:  # noqa: BLE001 - one broken check must not hide what the others found
        # The type alone: an exception's text may repeat what it was given.
        found.append(problem(f"{_word(name)}.failed", f"a check failed: {type(error).__name__}", "please report this"))


def _word(name: str) -> str:
    return name.rpartition(" ")[2].lower()
