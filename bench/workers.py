"""``python -m bench.workers``: what several workers on one port carry, against one.

Nothing is pinned: on a machine with as many cores as workers the load generator, the provider's stand-in and the
recorders take from the same cores, so that what is measured is a lower bound: how much of them the workers had is told.
Exit status as that of ``python -m bench``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import load, machine, proxies, upstream
from bench.load import Calibration, WarmJob
from bench.proxies import BenchError, Proxy, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = ("json", "sse50")
TARGET = 1.7


@dataclass
class Run:
    """One case on one proxy in one round."""

    rate: float
    """Requests a second."""
    cpu: list[float]
    """CPU seconds of each process that serves, a second."""


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
                    before = [machine.cpu_seconds(pid) for pid in pids]
                    begun = time.monotonic()
                    run = stand.drive(WarmJob(proxy.port, case, plan.seconds, plan.connections))
                    spent = time.monotonic() - begun
                    answered[count] += run.answered
                    cpu = [(machine.cpu_seconds(pid) - was) / spent for pid, was in zip(pids, before, strict=True)]
                    found[case][count].append(Run(run.rate, cpu))
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
    parser.add_argument("--connections", type=int, default=48, help="of clients, spread by the kernel (default 48)")
    parser.add_argument("--only", default=",".join(CASES), help=f"comma-separated (default {','.join(CASES)})")
    parser.add_argument("-o", "--output", type=Path, help="where the JSON goes, if anywhere")
    plan = parser.parse_args()
    cases = plan.only.split(",")
    if unknown := set(cases) - set(load.CASES):
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
    for case in cases:
        one, several = (found[case][count] for count in counts)
        ratios = [after.rate / before.rate for before, after in zip(one, several, strict=True)]
        middle = statistics.median(ratios)
        busy = statistics.median(sum(run.cpu) for run in several)
        print(
            f"{load.CASES[case].title}: {statistics.median(run.rate for run in one):.0f} requests/s by one, "
            f"{statistics.median(run.rate for run in several):.0f} by {counts[1]}: x {middle:.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}; wanted {TARGET}), which had {busy:.2f} cores"
        )
    if plan.output:
        runs = {
            case: {count: [asdict(run) for run in runs] for count, runs in by.items()} for case, by in found.items()
        }
        plan.output.write_text(json.dumps({"machine": about, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
