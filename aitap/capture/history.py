"""Digests that tell conversations and repeats apart where a client sends no id.

A conversation is a chain: the digest up to a turn is made of the digest up to the one before and of
what the user says in it. Two requests of which one extends the other share the digest at the place
where the shorter one ends. What changes when a client sends the same turn again is left out: cache
markers, list or string form, wrappers with times in them, system and configuration items. So is what
the model said and what tools gave back, which clients merge, trim and re-number: of those it only
counts that they are there.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from aitap.capture.prompts import without_wrappers

if TYPE_CHECKING:
    from aitap.capture.facts import Message

__all__ = ["Asked", "body_digest", "conversation_digests", "gone_on_with"]

_MOST_ASKED = 16_384


class Asked:
    """Remembers the conversations that ended with somebody's turn, by the digest of all of it; bounded."""

    def __init__(self) -> None:
        self._digests: dict[str, None] = {}

    def remember(self, digest: str) -> None:
        """Take in that it was asked."""
        self._digests[digest] = self._digests.pop(digest, None)
        if len(self._digests) > _MOST_ASKED:
            del self._digests[next(iter(self._digests))]

    def __contains__(self, digest: str) -> bool:
        return digest in self._digests


def body_digest(scope: str, body: bytes) -> str:
    """Equal for byte-identical bodies of the same sender (``scope``)."""
    return blake2b(body, digest_size=16, key=blake2b(scope.encode(), digest_size=32).digest()).hexdigest()


def conversation_digests(scope: str, conversation: list[Message], client: str | None) -> list[str]:
    """The digest at the end of each turn that is not the model's, oldest first; the last stands for all of it.

    ``scope`` keeps senders apart: equal conversations of two of them are two conversations.
    """
    state = blake2b(scope.encode(), digest_size=16).digest()
    digests = []
    for message in conversation:
        if message.role not in ("user", "tool"):
            continue
        chain = blake2b(state, digest_size=16)
        chain.update(message.role.encode())
        for text in without_wrappers(message, client) if message.role == "user" else ():
            data = text.encode("utf-8", "replace")
            chain.update(b"%d:" % len(data))
            chain.update(data)
        state = chain.digest()
        digests.append(state.hex())
    return digests


def gone_on_with(digest: str) -> str:
    """The digest of a conversation of this digest, after which the model is to go on with its own words."""
    return blake2b(digest.encode(), digest_size=16, person=b"gone on with").hexdigest()
