"""What people do in a soak: which exchange comes next, how the provider answers it, and what must become of it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from bench.corpus import SAMPLES, SOCKETS, Sample, SocketSample
from tests.capture.dialogues import QUESTION

__all__ = ["LABELS", "WAYS", "Deed", "Mixture", "Way", "is_tunnelled"]

LABELS = 40
"""So many hosts there are of each pattern."""

_BIG = (30_000, 300_000, 1_500_000)
_ASKED = QUESTION.encode()


@dataclass(frozen=True)
class Way:
    """How an exchange goes; the provider is told by its name."""

    name: str
    weight: float
    outcome: str
    """Of the record; empty where there is none."""


WAYS = {
    way.name: way
    for way in (
        Way("answer", 64, "completed"),
        Way("gzip", 4, "completed"),
        Way("paced", 4, "completed"),
        Way("overloaded", 5, "failed"),
        Way("page", 2, "failed"),
        Way("broken", 3, "failed"),
        Way("silence", 2, "failed"),
        Way("left", 4, "cancelled"),
        Way("stalled", 2, "cancelled"),
        Way("big", 3, "completed"),
        Way("socket", 4, "completed"),
        Way("other", 3, ""),
    )
}
"""``broken`` ends in the midst of an answer, ``silence`` before one; ``left`` and ``stalled`` are given up by the
client, with and without a part of an answer; ``other`` is no call of a model."""


@dataclass(frozen=True)
class Deed:
    """One exchange, or a socket with ``turns`` of them."""

    way: Way
    host: str
    sample: Sample | SocketSample
    index: int
    """Of the sample, by which the provider knows it."""
    body: bytes
    turns: int = 1

    @property
    def recorded(self) -> int:
        """How many records there must be of it."""
        return self.turns if self.way.outcome and not is_tunnelled(self.host) else 0


def is_tunnelled(host: str) -> bool:
    """Whether the proxy looks into none of what goes there, since it is in no table."""
    return host.endswith(".llm.example")


class Mixture:
    """Deeds without end, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self._number = 0
        self._ways = list(WAYS.values())
        self._weights = [way.weight for way in self._ways]
        self._streamed = [index for index, sample in enumerate(SAMPLES) if sample.streamed]

    def next(self) -> Deed:
        """What comes next."""
        self._number += 1
        dice = self.dice
        way = dice.choices(self._ways, self._weights)[0]
        if way.name == "socket":
            index = dice.randrange(len(SOCKETS))
            socket = SOCKETS[index]
            return Deed(way, self._host(socket.host), socket, index, socket.ask, dice.randint(1, 4))
        streamed = way.name in ("paced", "broken", "left")
        index = dice.choice(self._streamed) if streamed else dice.randrange(len(SAMPLES))
        sample = SAMPLES[index]
        return Deed(way, self._host(sample.host), sample, index, self._body(sample.body, way))

    def _host(self, pattern: str) -> str:
        return pattern.replace("*", f"r{self.dice.randrange(LABELS)}")

    def _body(self, body: bytes, way: Way) -> bytes:
        """No two are alike, or they would be retries of each other."""
        asked = _ASKED + b" %d" % self._number
        if way.name == "big":
            asked += b" and this?" * (self.dice.choice(_BIG) // 10)
        return body.replace(_ASKED, asked, 1)
