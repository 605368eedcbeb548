"""The load generator: a process that drives a proxy with the cases and checks every byte that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.answers import COUNTER
from bench.cases import CASES, PREVIOUS, Case, Request
from bench.client import Client, Direct, ExchangeError, Socket
from bench.upstream import GATE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

__all__ = ["Calibration", "Crowd", "CrowdJob", "Slice", "SliceJob", "WarmJob", "serve"]


CROWD_PATIENCE = 120.0
"""Seconds after which a slow stream counts as failed."""


@dataclass(frozen=True)
class WarmJob:
    """Drive a case for some seconds."""

    port: int
    case: str
    seconds: float
    connections: int = 0
    """How many; 0 for as many as the case has."""
    gateway: bool = False
    """Whether what listens on the port is no proxy, but a server that answers in its own words."""


@dataclass(frozen=True)
class Calibration:
    """How many requests a second a :class:`WarmJob` had."""

    rate: float
    answered: int


@dataclass(frozen=True)
class SliceJob:
    """Measure one case on one proxy: ``requests`` in a closed loop over the case's connections."""

    port: int
    pid: int
    case: str
    requests: int
    alone: int
    gateway: bool = False


@dataclass
class Slice:
    """What a :class:`SliceJob` measured. Times are in milliseconds where not named otherwise."""

    requests: int = 0
    answered: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    """Of the proxy process, threads included."""
    beside: float = 0.0
    """Of the processes that the proxy has started."""
    """CPU seconds of the proxy, until it was idle again."""
    generator: float = 0.0
    """CPU seconds of the load generator in the same time."""
    first: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class CrowdJob:
    """Open ``case.connections`` slow streams, then let all of them run to their ends."""

    port: int
    pid: int
    case: str


@dataclass
class Crowd:
    """What a :class:`CrowdJob` measured."""

    streams: int = 0
    answered: int = 0
    errors: list[str] = field(default_factory=list)
    open_at_once: int = 0
    rss_before: int = 0
    rss_open: int = 0
    """Most bytes resident while streams were open."""
    cpu: float = 0.0
    first: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


class Talk:
    """A client with a session of its own that sends one case after the other on one connection."""

    numbers = iter(range(1, 10**10))

    def __init__(self, client: Client, session: str) -> None:
        self.client = client
        self.session = session
        self.pieces: dict[str, tuple[bytes, ...]] = {}
        self.previous = b"0" * len(PREVIOUS)

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext, request: Request, *, gateway: bool = False) -> Talk:
        """One on a connection of its own, for requests to the endpoint of this one."""
        session = str(uuid.uuid4())
        if gateway:
            return cls(await Direct.connect(port, context, request.host), session)
        if request.upgrade:
            return cls(await Socket.open(port, context, request.host, request.opening(session)), session)
        return cls(await Client.connect(port, context, request.host), session)

    async def ask(self, case: Case) -> tuple[float, list[int], list[int]]:
        """One checked exchange: time to first event, when each event was sent (if stamped) and when it arrived."""
        pieces = self.pieces.get(case.name)
        if pieces is None:
            pieces = self.pieces[case.name] = case.request.pieces(self.session)
        values = {COUNTER: b"%010d" % next(self.numbers), PREVIOUS: self.previous}
        exchange = await self.client.send([values.get(piece, piece) for piece in pieces])
        if isinstance(self.client, Direct):
            case.answer.retold(bytes(exchange.body))
            return (exchange.marks[0][0] - exchange.sent) / 1e6, [], []
        self.previous, sent = case.answer.read(bytes(exchange.body))
        if exchange.ends and tuple(exchange.ends) != case.answer.ends:
            raise ExchangeError("the messages of an answer were joined or split")
        return exchange.first(case.answer), sent, exchange.arrivals(case.answer) if sent else []


class Generator:
    """The jobs, and the connections that stay open between them."""

    def __init__(self, context: ssl.SSLContext, totals: Any) -> None:
        self.context = context
        self.totals = totals
        self.talks: dict[int, dict[tuple[str, bool], list[Talk]]] = {}
        """By the proxy's port and the endpoint."""

    async def connections(self, port: int, case: Case, count: int = 0, *, gateway: bool = False) -> list[Talk]:
        """The connections of a case to a proxy, or another ``count``, opened where needed."""
        talks = self.talks.setdefault(port, {}).setdefault(case.request.endpoint, [])
        count = count or case.connections
        while len(talks) < count:
            talks.append(await Talk.open(port, self.context, case.request, gateway=gateway))
        return talks[:count]

    async def warm(self, job: WarmJob) -> Calibration:
        """Run a :class:`WarmJob`."""
        case = CASES[job.case]
        start = time.monotonic()

        async def until(talk: Talk) -> int:
            answered = 0
            while not answered or time.monotonic() - start < job.seconds:
                await talk.ask(case)
                answered += 1
            return answered

        talks = await self.connections(job.port, case, job.connections, gateway=job.gateway)
        start = time.monotonic()
        answered = sum(await asyncio.gather(*map(until, talks)))
        return Calibration(answered / (time.monotonic() - start), answered)

    async def slice(self, job: SliceJob) -> Slice:
        """Run a :class:`SliceJob`."""
        case = CASES[job.case]
        talks = await self.connections(job.port, case, gateway=job.gateway)
        result = Slice(requests=job.requests)
        for _ in range(job.alone):
            result.first.append((await talks[0].ask(case))[0])

        def note(first: float, sent: list[int], arrived: list[int]) -> None:
            if sent:
                result.first.append(first)
                result.delays += [(there - here) / 1e6 for here, there in zip(sent, arrived, strict=True)]

        async def work(number: int, talk: Talk) -> None:
            # Paced streams that begin together would for ever wait for each other.
            await asyncio.sleep(number / len(talks) * case.answer.pace * len(case.answer.events))
            for _ in tickets:
                note(*await talk.ask(case))

        machine.settle(job.pid)
        tickets = iter(range(job.requests))
        helpers = machine.children(job.pid)
        beside = sum(map(machine.cpu_seconds, helpers))
        cpu, own, start = machine.cpu_seconds(job.pid), time.process_time(), time.monotonic()
        await asyncio.gather(*(work(number, talk) for number, talk in enumerate(talks)))
        result.seconds = time.monotonic() - start
        result.generator = time.process_time() - own
        machine.settle(job.pid)
        result.cpu = machine.cpu_seconds(job.pid) - cpu
        for helper in helpers:
            machine.settle(helper)
        result.beside = sum(map(machine.cpu_seconds, helpers)) - beside
        result.answered = job.alone + job.requests
        return result

    async def crowd(self, job: CrowdJob) -> Crowd:
        """Run a :class:`CrowdJob`."""
        case = CASES[job.case]
        result = Crowd(streams=case.connections, rss_before=machine.rss_bytes(job.pid))
        cpu = machine.cpu_seconds(job.pid)
        open_now: set[Client] = set()

        def note(first: float, sent: list[int], arrived: list[int]) -> None:
            result.answered += 1
            result.first.append(first)
            # The first event is noted apart: its delay is that of opening a connection.
            result.delays += [(there - here) / 1e6 for here, there in zip(sent[1:], arrived[1:], strict=True)]

        async def stream(opening: asyncio.Semaphore) -> None:
            client = None
            try:
                async with opening:
                    talk = await Talk.open(job.port, self.context, case.request)
                    client = talk.client
                    answer = asyncio.create_task(talk.ask(case))
                    while not answer.done() and not (client.exchange and client.exchange.marks):
                        await asyncio.sleep(0.01)
                    open_now.add(client)
                note(*await answer)
            except (ExchangeError, ValueError, OSError) as error:
                result.errors.append(str(error))
            finally:
                if client:
                    open_now.discard(client)
                    client.close()

        async def watch() -> None:
            while True:
                result.open_at_once = max(result.open_at_once, len(open_now))
                result.rss_open = max(result.rss_open, machine.rss_bytes(job.pid))
                if len(open_now) + len(result.errors) == case.connections:
                    self.totals[GATE] = 1
                await asyncio.sleep(0.2)

        self.totals[GATE] = 0
        watcher = asyncio.create_task(watch())
        # A few at a time, as fast as the proxy takes them.
        opening = asyncio.Semaphore(4)
        streams = [asyncio.create_task(stream(opening)) for _ in range(case.connections)]
        _, hanging = await asyncio.wait(streams, timeout=CROWD_PATIENCE)
        for task in hanging:
            task.cancel()
        result.errors += ["it did not end"] * len(hanging)
        watcher.cancel()
        machine.settle(job.pid)
        result.cpu = machine.cpu_seconds(job.pid) - cpu
        return result

    async def run(self, job: Any) -> object:
        """Run any job."""
        match job:
            case WarmJob():
                return await self.warm(job)
            case SliceJob():
                return await self.slice(job)
            case CrowdJob():
                return await self.crowd(job)
        for talks in self.talks.pop(job, {}).values():
            for talk in talks:
                talk.client.close()
        return None


def serve(jobs: Connection, authority: Path, totals: Any, cores: set[int] | None) -> None:
    """Do jobs until the pipe closes. A job is one of the classes above, or a port whose connections are to be closed.

    The answer is its result, or the error as text. ``authority`` is the proxy's CA certificate (PEM file),
    ``totals`` the memory shared with the upstream.
    """
    machine.pin(0, cores)
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["http/1.1"])
    generator = Generator(context, totals)
    loop = asyncio.new_event_loop()
    gc.freeze()
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            job = jobs.recv()
            try:
                result = loop.run_until_complete(generator.run(job))
            except (ExchangeError, ValueError, OSError) as error:
                result = f"{job}: {error or type(error).__name__}"
            jobs.send(result)
