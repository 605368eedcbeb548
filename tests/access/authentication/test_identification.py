"""Sources are asked in order and no more than needed; guessing is held up, and whoever is known never."""

from __future__ import annotations

import asyncio
import inspect

from aitap.access.authentication.backoff import Backoff
from aitap.access.authentication.credentials import Credentials
from aitap.access.authentication.identification import Identification
from aitap.access.authentication.sources import Answer, Grant, Reason, Refusal
from aitap.access.identity import Identity

WHERE = "192.0.2.1"


class Known:
    """A source that has these secrets in memory, and these to be looked up."""

    def __init__(self, memory: tuple[str, ...] = (), slow: tuple[str, ...] = (), fault: bool = False) -> None:
        self.memory, self.slow, self.fault = memory, slow, fault
        self.asked: list[str] = []
        self.grant = Grant(Identity("u", "name"), self)

    def known(self, credentials: Credentials) -> Answer | None:
        return self.grant if credentials.secret in self.memory else None

    def can_look_up(self, credentials: Credentials) -> bool:
        return bool(self.slow) or self.fault

    async def look_up(self, credentials: Credentials) -> Answer | None:
        self.asked.append(credentials.secret)
        await asyncio.sleep(0)
        if self.fault:
            raise RuntimeError("broken")
        return self.grant if credentials.secret in self.slow else None

    def withdrawn(self, grant: Grant) -> Reason | None:
        return None


async def answer(identify: Identification, secret: str, where: str = WHERE) -> Answer:
    found = identify(Credentials("user", secret), where)
    return await found if inspect.isawaitable(found) else found  # type: ignore[return-value]


def test_what_is_in_memory_is_answered_at_once_and_nobody_is_asked() -> None:
    first, second = Known(slow=("x",)), Known(memory=("key",))
    assert Identification([first, second], Backoff())(Credentials("a", "key"), WHERE) is second.grant
    assert first.asked == second.asked == []


def test_the_first_source_that_knows_is_enough() -> None:
    first, second, third = Known(slow=("a",)), Known(slow=("key",)), Known(slow=("key",))
    found = asyncio.run(answer(Identification([first, second, third], Backoff()), "key"))
    assert found is second.grant
    assert (first.asked, third.asked) == (["key"], [])


def test_a_source_that_fails_refuses_unless_another_one_knows() -> None:
    broken, good = Known(fault=True), Known(slow=("key",))

    async def both() -> list[Answer]:
        identify = Identification([broken, good], Backoff())
        return [await answer(identify, "key"), await answer(identify, "other")]

    granted, refused = asyncio.run(both())
    assert granted is good.grant
    assert isinstance(refused, Refusal)
    assert refused.reason == "unreachable"


def test_many_who_show_the_same_share_one_look_up() -> None:
    source = Known(slow=("key",))

    async def many() -> list[Answer]:
        identify = Identification([source], Backoff())
        return list(await asyncio.gather(*(answer(identify, "key") for _ in range(50))))

    assert set(asyncio.run(many())) == {source.grant}
    assert source.asked == ["key"]


def test_guessing_is_held_up_without_asking_and_whoever_is_known_is_not() -> None:
    source = Known(memory=("good",), slow=("later",))

    async def guess() -> list[Answer]:
        identify = Identification([source], Backoff())
        guesses = [await answer(identify, f"guess {number}") for number in range(10)]
        return [*guesses, await answer(identify, "good"), await answer(identify, "later", "192.0.2.2")]

    *guesses, good, elsewhere = asyncio.run(guess())
    reasons = [found.reason for found in guesses if isinstance(found, Refusal)]
    assert reasons == ["wrong"] * 6 + ["backoff"] * 4
    assert all(found.retry_after > 0 for found in guesses[6:] if isinstance(found, Refusal))
    assert good is elsewhere is source.grant
    assert len(source.asked) == 7
