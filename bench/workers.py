"""``python -m bench.workers``: what several workers on one port carry, against one.

Nothing is pinned. On a machine with as many cores as workers the load generator and the provider's stand-in take from
the same cores, so that the ratio of requests a second is a lower bound. What is told beside it does not depend on them:

* *capacity*: requests for each CPU second of the workers and their recorders, several against one, times the number of
  workers that were in effect at work (the CPU time of all by that of the busiest, so that connections that are spread
  unevenly count against it). It is the ratio that cores of their own would give: several workers do not share anything
  that would make them wait, but the database, for which their recorders wait, each on its own.
* *idle*: the part of the machine's cores that nobody used. Workers that waited for each other would leave much of it.

All that was answered must be stored. Exit status as that of ``python -m bench``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import load, machine, proxies, upstream
from bench.cases import CASES
from bench.load import Calibration, WarmJob
from bench.proxies import BenchError, Proxy, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

USUAL = ("json", "sse50")
TARGET = 1.7


@dataclass
class Run:
    """One case on one proxy in one round."""

    rate: float
    """Requests a second."""
    cpu: list[float]
    """CPU seconds of each process that serves, a second."""
    recorders: float
    """CPU seconds of all recorders, a second."""
    idle: float
    """The part of all cores that nobody used."""

    @property
    def capacity(self) -> float:
        """Requests that cores of their own would have carried, a second."""
        return self.rate / (sum(self.cpu) + self.recorders) * (sum(self.cpu) / max(self.cpu))


class Stand:
    """The upstream and the load generator."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aitap-bench-"))).resolve()
        authority = proxies.authority(self.folder / "ca")
        certificate = proxies.certificate(self.folder / "upstream.pem")
        context = multiprocessing.get_context("spawn")
        totals = context.RawArray("q", 3)
        self._ready, far = context.Pipe()
        self._spawn(context, stack, upstream.serve, (far, certificate, totals, None))
        if not self._ready.poll(30):
            raise BenchError("the upstream did not start")
        self.port: int = self._ready.recv()
        self._jobs, far = context.Pipe()
        self._spawn(context, stack, load.serve, (far, authority, totals, None))

    @staticmethod
    def _spawn(context: Any, stack: ExitStack, target: Any, arguments: tuple[object, ...]) -> None:
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
        arguments[0].close()  # type: ignore[attr-defined]
        stack.callback(process.join)
        stack.callback(process.terminate)

    def drive(self, job: WarmJob | int) -> Calibration:
        """Let the generator do a job."""
        self._jobs.send(job)
        found = self._jobs.recv()
        if isinstance(found, str):
            raise BenchError(found)
        return found if isinstance(found, Calibration) else Calibration(0.0, 0)

    @contextlib.contextmanager
    def proxy(self, workers: int) -> Iterator[tuple[Proxy, list[int]]]:
        """A proxy with so many workers, and the processes that serve; at the end all must be stored."""
        database = self.folder / f"workers-{workers}.db"
        environment = (("AITAP_DATABASE_URL", f"sqlite:///{database}"), ("AITAP_ALLOW_PRIVATE", "all"))
        variant = Variant(f"workers-{workers}", Path(), database, environment, workers)
        with Proxy(variant, self.folder, self.port, None) as proxy:
            proxy.ready()
            yield proxy, _serving(proxy, workers)
            self.drive(proxy.port)


def _serving(proxy: Proxy, workers: int) -> list[int]:
    """The processes that serve, once each has its recorder: a connection is only given to one that listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = machine.children(proxy.pid) if workers > 1 else [proxy.pid]
        if len(found) == workers and all(machine.children(pid) for pid in found):
            return found
        time.sleep(0.05)
    raise BenchError(f"{workers} workers did not start: {proxy.output()[-300:]!r}")


class _Clock:
    """CPU time of processes that serve, of their recorders, and of the machine, from now on."""

    def __init__(self, pids: list[int]) -> None:
        self._serving = pids
        self._recorders = [child for pid in pids for child in machine.children(pid)]
        # What one does to come up, or has yet to write of the warm-up, is not what is measured.
        self._settle()
        self._used = self._read()
        self._began, self._busy = time.monotonic(), machine.busy_seconds()

    def read(self) -> tuple[list[float], float, float]:
        """As in :class:`Run`."""
        spent = time.monotonic() - self._began
        idle = 1 - (machine.busy_seconds() - self._busy) / spent / (os.cpu_count() or 1)
        self._settle()
        used = [(now - was) / spent for now, was in zip(self._read(), self._used, strict=True)]
        count = len(self._serving)
        return used[:count], sum(used[count:]), max(0.0, idle)

    def _settle(self) -> None:
        for pid in self._recorders:
            machine.settle(pid, 10.0)

    def _read(self) -> list[float]:
        return [machine.cpu_seconds(pid) for pid in (*self._serving, *self._recorders)]


def _figures(runs: dict[int, list[Run]]) -> dict[str, Any]:
    """One case: several against one, round by round."""
    one, several = runs.values()
    return {
        "requests": [statistics.median(run.rate for run in each) for each in (one, several)],
        "ratio": _spread([b.rate / a.rate for a, b in zip(one, several, strict=True)]),
        "capacity": _spread([b.capacity / a.capacity for a, b in zip(one, several, strict=True)]),
        "cores": statistics.median(sum(run.cpu) for run in several),
        "idle": statistics.median(run.idle for run in several),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"middle": statistics.median(values), "low": min(values), "high": max(values)}


def measure(stand: Stand, counts: tuple[int, int], cases: list[str], plan: argparse.Namespace) -> Any:
    """Case, count of workers, rounds."""
    found: dict[str, dict[int, list[Run]]] = {case: {count: [] for count in counts} for case in cases}
    answered = dict.fromkeys(counts, 0)
    for number in range(plan.rounds):
        for count in counts if number % 2 == 0 else counts[::-1]:
            print(f"round {number + 1} of {plan.rounds}: {count} worker(s)", file=sys.stderr, flush=True)
            with stand.proxy(count) as (proxy, pids):
                for case in cases:
                    answered[count] += stand.drive(WarmJob(proxy.port, case, 1.0, plan.connections)).answered
                    clock = _Clock(pids)
                    run = stand.drive(WarmJob(proxy.port, case, plan.seconds, plan.connections))
                    answered[count] += run.answered
                    found[case][count].append(Run(run.rate, *clock.read()))
    for count in counts:
        rows = proxies.stored(stand.folder / f"workers-{count}.db")["rows"]
        if rows != answered[count]:
            raise BenchError(f"{count} worker(s): {answered[count]} requests were answered, but {rows} rows are stored")
    return found


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser("python -m bench.workers", description="Measure workers on one port.")
    parser.add_argument("--workers", type=int, default=2, help="against one (default 2)")
    parser.add_argument("--rounds", type=int, default=6, help="how often each is started and measured (default 6)")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each case of a round (default 4)")
    parser.add_argument("--connections", type=int, default=200, help="of clients, spread by the kernel (default 200)")
    parser.add_argument("--only", default=",".join(USUAL), help=f"comma-separated (default {','.join(CASES)})")
    parser.add_argument("-o", "--output", type=Path, help="where the JSON goes, if anywhere")
    plan = parser.parse_args()
    cases = plan.only.split(",")
    if unknown := set(cases) - set(CASES):
        parser.error(f"--only knows no {min(unknown)!r}")
    counts = (1, max(2, plan.workers))
    machine.raise_file_limit()
    about = machine.describe()
    try:
        with ExitStack() as stack:
            found = measure(Stand(stack), counts, cases, plan)
    except (BenchError, EOFError) as error:
        print(f"bench: {error or 'the load generator ended'}", file=sys.stderr)
        return 1
    print(
        f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}; medians of {plan.rounds}"
    )
    figures = {case: _figures(found[case]) for case in cases}
    for case, figure in figures.items():
        ratio, capacity = figure["ratio"], figure["capacity"]
        one, several = figure["requests"]
        print(
            f"{CASES[case].title}: {one:.0f} requests/s by one, {several:.0f} by {counts[1]}, which had "
            f"{figure['cores']:.2f} cores: x {ratio['middle']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})\n"
            f"{'':4}capacity x {capacity['middle']:.2f} ({capacity['low']:.2f} to {capacity['high']:.2f}; "
            f"wanted {TARGET}); {figure['idle']:.0%} of the machine was idle"
        )
    if plan.output:
        runs = {
            case: {count: [asdict(run) for run in runs] for count, runs in by.items()} for case, by in found.items()
        }
        result = {"machine": about, "workers": counts[1], "figures": figures, "runs": runs}
        plan.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
