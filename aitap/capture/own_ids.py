"""Ids of records that are the same whichever recorder makes them: of the proxy's run, the source and the moment.

What a recorder that died had in hand is given to the next (:mod:`aitap.capture.held`). Both make the same record of
it, which is stored once.
"""

from __future__ import annotations

from hashlib import blake2b

from aitap.record import derived_id, tick_of

__all__ = ["answer_id_of", "id_of", "prompt_id_of"]


def id_of(run: bytes, number: int, at: float, order: int = 0) -> str:
    """Of the record that exchange or socket ``number`` of this run began at ``at`` (epoch seconds).

    ``order`` counts those of one moment.
    """
    digest = blake2b(b"%d %d %d" % (number, order, tick_of(at)), digest_size=8, key=run).digest()
    # Of version 7, as all that come from live traffic: what stands for its random bits is not less unique.
    text = derived_id(at, digest)
    return f"{text[:14]}7{text[15:]}"


def prompt_id_of(record_id: str, at: float) -> str:
    """Of the one prompt that a record may have."""
    text = derived_id(at, blake2b(record_id.encode(), digest_size=8, person=b"prompt").digest())
    return f"{text[:14]}7{text[15:]}"


def answer_id_of(provider_name: str, response_id: str, made_at: float) -> str:
    """Of the record of a response that was fetched, whoever fetches it, when, how often and by which proxy.

    ``made_at`` is what the provider says, in epoch seconds: some use their ids again.
    """
    name = f"{provider_name}\n{response_id}".encode("utf-8", "surrogatepass")
    return derived_id(made_at, blake2b(name, digest_size=8, person=b"answer").digest())
