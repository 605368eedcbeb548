"""The measuring itself: rounds that visit both variants in turn, the crowd of slow streams, the hook timer."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench import collector, litellm, load, machine, proxies, upstream
from bench.cases import CASES
from bench.load import Calibration, Crowd, CrowdJob, Slice, SliceJob, WarmJob
from bench.proxies import BenchError, Proxy, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HookTimes", "Laboratory", "Measured", "Plan"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """What to measure and for how long."""

    addon: Path
    rounds: int
    seconds: float
    """Length of a slice: one case on one variant in one round."""
    cases: tuple[str, ...]
    crowd: str | None
    """The case of the slow streams."""
    alone: float
    """The share of a case's lone requests that are made."""
    hooks: tuple[str, ...]
    """Cases for which time in hooks is measured."""
    hook_requests: float
    """Requests of the hook run, in slices."""
    control: bool = False
    tracing: bool = False
    """Compare recording with and without traces, not recording with plain mitmdump."""
    litellm: Path | None = None
    """The command of LiteLLM's proxy, which is then measured in the same rounds."""


@dataclass
class HookTimes:
    """Time in the addon's hooks for one case, in microseconds, the timer's own cost taken off."""

    requests: int
    per_request: float
    """Mean over all hooks of a request; the median over ten blocks of the run."""
    median_request: float
    """The sum of each hook's median."""
    per_chunk: float
    median_chunk: float
    chunks: int
    hooks: dict[str, dict[str, float]]
    empty: float
    """What an empty function takes by the same timer."""


@dataclass
class Measured:
    """Everything a run found."""

    slices: dict[str, list[dict[str, Slice]]] = field(default_factory=dict)
    """Case, round, variant."""
    crowd: dict[str, Crowd] = field(default_factory=dict)
    hooks: dict[str, HookTimes] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    stored: dict[str, dict[str, int]] = field(default_factory=dict)
    logged: int = 0
    """Requests that LiteLLM's proxy wrote down."""
    output: dict[str, str] = field(default_factory=dict)
    upstream_requests: int = 0
    upstream_connections: int = 0
    client_connections: int = 0


class Laboratory:
    """The upstream and the load generator, and a temporary folder, for the length of a ``with`` block."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.say = say
        self.measured = Measured()
        self.stack = ExitStack()
        self.cores = machine.cores() or (None, None, None)

    def __enter__(self) -> Laboratory:
        with ExitStack() as stack:
            temporary = tempfile.TemporaryDirectory(prefix="aitap-bench-", ignore_cleanup_errors=True)
            self.folder = Path(stack.enter_context(temporary)).resolve()
            ca = proxies.authority(self.folder / "ca")
            context = multiprocessing.get_context("spawn")
            taking = self._collector(context, stack) if self.plan.tracing else None
            self.variants = proxies.variants(self.plan.addon, self.folder, control=self.plan.control, collector=taking)
            self.beside = (proxies.gateway(self.plan.litellm),) if self.plan.litellm else ()
            self.answered = {variant.name: 0 for variant in self.variants}
            self.totals: Any = context.RawArray("q", 3)
            self.ready, far = context.Pipe()  # the upstream lives as long as this end is open
            certificate = proxies.certificate(self.folder / "upstream.pem")
            self._spawn(context, stack, upstream.serve, (far, certificate, self.totals, self.cores[2]))
            far.close()
            if not self.ready.poll(30):
                raise BenchError("the upstream did not start")
            self.upstream: int = self.ready.recv()
            self.jobs, far = context.Pipe()
            self._spawn(context, stack, load.serve, (far, ca, self.totals, self.cores[1]))
            far.close()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _collector(self, context: Any, stack: ExitStack) -> int:
        """Start what takes the traces; its port."""
        self.taken: Any = context.RawArray("q", 2)
        self.taking, far = context.Pipe()
        self._spawn(context, stack, collector.serve, (far, self.taken, self.cores[2]))
        far.close()
        if not self.taking.poll(30):
            raise BenchError("the collector did not start")
        port: int = self.taking.recv()
        return port

    def traced(self) -> None:
        """Raise :class:`BenchError` unless there is a trace of every answered request."""
        if self.plan.tracing and self.taken[collector.TRACES] < self.measured.answered["traced"]:
            raise BenchError(
                f"{self.measured.answered['traced']} requests were answered, but the collector has "
                f"{self.taken[collector.TRACES]} traces: the figures are not of tracing"
            )

    @staticmethod
    def _spawn(context: Any, stack: ExitStack, target: Callable[..., None], arguments: tuple[object, ...]) -> None:
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
        stack.callback(process.join)
        stack.callback(process.terminate)

    def do(self, job: object, kind: type[Result]) -> Result:
        """Let the load generator do a job."""
        self.jobs.send(job)
        result = self.jobs.recv()
        if isinstance(result, str):
            raise BenchError(result)
        if not isinstance(result, kind):
            raise BenchError(f"the load generator answered {result!r} to {job!r}")
        return result

    @contextlib.contextmanager
    def running(self, *variants: Variant) -> Iterator[list[Proxy]]:
        """Fresh processes of some variants; at the end they are stopped and what they stored is counted."""
        with ExitStack() as stack:
            started = [
                stack.enter_context(Proxy(variant, self.folder, self.upstream, self.cores[0], self.cores[1]))
                for variant in variants
            ]
            try:
                yield [proxy.ready() for proxy in started]
            except BenchError:
                for proxy in started:
                    # A connection that broke may be the first sign of a process that is about to end.
                    proxy.check(1.0)
                raise
            for proxy in started:
                self.do(proxy.port, type(None))
        self.measured.upstream_requests = self.totals[upstream.REQUESTS]
        for proxy in started:
            variant = proxy.variant
            self.measured.output[variant.name] = proxy.output()
            if variant.database:
                self.measured.stored[variant.name] = proxies.stored(variant.database)

    def count(self, variant: Variant, answered: int) -> None:
        """Note requests that a variant has answered."""
        self.measured.answered[variant.name] = self.measured.answered.get(variant.name, 0) + answered

    def rounds(self) -> None:
        """Measure all cases: in each round fresh processes, each case on both variants, who is first alternating."""
        rates: dict[str, float] = {}
        plain = self.variants[0]
        for number in range(self.plan.rounds):
            self.say(f"round {number + 1} of {self.plan.rounds}")
            order = (*self.variants, *self.beside) if number % 2 == 0 else (*self.beside, *self.variants[::-1])
            with self.running(*order) as every:
                for name in self.plan.cases:
                    started = _that_take(name, every)
                    # The first round's second warm-up tells how many requests fill a slice.
                    for proxy in started if rates.get(name) else started * 2:
                        warm = self.do(
                            WarmJob(proxy.port, name, 0.15, gateway=bool(proxy.variant.gateway)), Calibration
                        )
                        self.count(proxy.variant, warm.answered)
                        if proxy.variant is plain and number == 0:
                            rates[name] = warm.rate
                for place, name in enumerate(self.plan.cases):
                    found = {}
                    size = self._size(name, rates[name])
                    started = _that_take(name, every)
                    for proxy in started if place % 2 == 0 else started[::-1]:
                        share = self._size(name, rates[name] / litellm.SHARE) if proxy.variant.gateway else size
                        found[proxy.variant.name] = self._slice(proxy, name, share)
                    self.measured.slices.setdefault(name, []).append(found)
                    rates[name] = found[plain.name].requests / found[plain.name].seconds
            # To each endpoint a proxy had as many client connections as the widest case needs, and reused them.
            widest: dict[tuple[str, bool], int] = {}
            for case in map(CASES.__getitem__, self.plan.cases):
                widest[case.request.endpoint] = max(widest.get(case.request.endpoint, 0), case.connections)
            self.measured.client_connections += 2 * sum(widest.values())
        if self.beside:
            self.measured.logged = litellm.recorded(self.folder)
        # How LiteLLM's proxy uses connections is its own affair, but each has a request.
        self.measured.client_connections += self.measured.answered.get("litellm", 0)
        self.measured.upstream_connections = self.totals[upstream.CONNECTIONS]

    def _size(self, name: str, rate: float) -> int:
        """How many requests fill a slice; the same number for both variants of a round."""
        connections = CASES[name].connections
        return max(2, round(rate * self.plan.seconds / connections)) * connections

    def _slice(self, proxy: Proxy, name: str, requests: int) -> Slice:
        alone = math.ceil(CASES[name].alone * self.plan.alone)
        job = SliceJob(proxy.port, proxy.pid, name, requests, alone, gateway=bool(proxy.variant.gateway))
        found = self.do(job, Slice)
        self.count(proxy.variant, found.answered)
        return found

    def crowd(self) -> None:
        """Hold many slow streams at once, on one variant after the other."""
        name = self.plan.crowd
        if name is None:
            return
        for variant in self.variants:
            self.say(f"{CASES[name].connections} slow streams on {variant.name}")
            with self.running(variant) as (proxy,):
                # Everything that is allocated once is allocated before memory is read.
                warm = self.do(WarmJob(proxy.port, "sse50", 1.0), Calibration)
                machine.settle(proxy.pid)
                found = self.do(CrowdJob(proxy.port, proxy.pid, name), Crowd)
                self.count(variant, warm.answered + found.answered)
            self.measured.crowd[variant.name] = found

    def hooks(self) -> None:
        """Time the addon's hooks, in runs that are not part of the comparison."""
        for name in self.plan.hooks:
            self.say(f"time in hooks, {CASES[name].title}")
            file = self.folder / f"hooks-{name}.json"
            variant = proxies.recording(
                f"hooks-{name}",
                proxies.HERE / "hooks_timer.py",
                self.folder,
                BENCH_ADDON=str(self.plan.addon),
                BENCH_TIMES=str(file),
            )
            with self.running(variant) as (proxy,):
                warm = self.do(WarmJob(proxy.port, name, 0.5), Calibration)
                found = self._slice(proxy, name, self._size(name, warm.rate * self.plan.hook_requests))
                self.count(variant, warm.answered)
            if not file.exists():
                raise BenchError(f"the hook timer wrote nothing: {proxy.output()[-300:]!r}")
            times = json.loads(file.read_text(encoding="utf-8"))
            self.measured.hooks[name] = _summary(times, warm.answered + found.answered, warm.answered)


def _that_take(case: str, started: list[Proxy]) -> list[Proxy]:
    """Those of the processes for which a case is meant."""
    return [proxy for proxy in started if not proxy.variant.gateway or case in litellm.CASES]


def _summary(raw: dict[str, Any], requests: int, warm: int) -> HookTimes:
    """Times of one hook run; the share of the warm-up at the front of each list is left out."""
    empty = raw.pop("empty")
    kept = {name: values[len(values) * warm // requests :] for name, values in raw.items()}
    kept = {name: values for name, values in kept.items() if values}
    hooks = {
        name: {
            "per_request": len(values) / (requests - warm),
            "mean": _block_mean(values) / 1000,
            "median": statistics.median(values) / 1000,
            "p99": sorted(values)[len(values) * 99 // 100] / 1000,
        }
        for name, values in kept.items()
    }
    chunk = hooks.pop("chunk", {"mean": 0.0, "median": 0.0})
    return HookTimes(
        requests=requests - warm,
        per_request=sum(hook["mean"] * hook["per_request"] for hook in hooks.values()),
        median_request=sum(hook["median"] * hook["per_request"] for hook in hooks.values()),
        per_chunk=chunk["mean"],
        median_chunk=chunk["median"],
        chunks=len(kept.get("chunk", [])),
        hooks=hooks,
        empty=statistics.median(empty) / 1000,
    )


def _block_mean(values: list[int]) -> float:
    """The median of the means of ten blocks: what happens regularly counts, one stall of the machine does not."""
    size = max(1, len(values) // 10)
    blocks = (values[at : at + size] for at in range(0, size * 10, size))
    return statistics.median(statistics.fmean(block) for block in blocks if block)
