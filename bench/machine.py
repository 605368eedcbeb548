"""What the bench asks of the operating system: CPU time and memory of a process, cores, limits, versions."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path

__all__ = [
    "busy_seconds",
    "children",
    "cores",
    "cpu_seconds",
    "describe",
    "own_seconds",
    "pin",
    "raise_file_limit",
    "rss_bytes",
    "settle",
]

QUIET = 0.002
"""CPU seconds in a window of 0.1 s below which a process counts as idle."""


def cpu_seconds(pid: int) -> float:
    """CPU time used so far by all threads of a process, living and ended, user and system; 0 where Linux is not."""
    if sys.platform != "linux":
        return 0.0
    # The kernel's id of another process's CPU clock (clock_getcpuclockid(3)): nanoseconds, where
    # /proc/PID/stat counts ticks of 10 ms.
    return time.clock_gettime((~pid << 3) | 2)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run; empty where there is no /proc."""
    try:
        listed = [task.read_text(encoding="ascii") for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for line in listed for child in line.split()]


def rss_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where there is no /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def busy_seconds() -> float:
    """CPU time that all cores together have not been idle, what the hypervisor took with it; 0 without /proc."""
    try:
        ticks = [int(value) for value in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    except OSError:
        return 0.0
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """CPU time of this process and of all its children that have ended."""
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def settle(pid: int, at_most: float = 2.0) -> None:
    """Wait until a process is idle, so that work put off to its threads is counted where it was caused."""
    deadline = time.monotonic() + at_most
    windows = 0
    used = cpu_seconds(pid)
    while windows < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        now = cpu_seconds(pid)
        windows = windows + 1 if now - used < QUIET else 0
        used = now


def cores() -> tuple[set[int], set[int], set[int]] | None:
    """The cores for mitmdump, the load generator and the upstream; None where nothing can be pinned."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return None
    return {usable[0]}, {usable[1]}, {usable[min(2, len(usable) - 1)]}


def pin(pid: int, to: set[int] | None) -> None:
    """Bind a process to cores; ``None`` leaves it where it is."""
    if to is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, to)


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may: a stream needs two in the proxy."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def describe() -> dict[str, object]:
    """The machine and the versions a result belongs to."""
    versions = {}
    for name in ("mitmproxy", "peewee", "msgspec"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "pinned": cores() is not None,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        **versions,
    }
