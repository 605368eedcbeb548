"""A database that keeps evidence, with all kinds of records in it; both databases, as for all tests of storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from peewee import Database

from aitap.record import StoredMessage, message_digest
from aitap.storage.audit import Reader, note_reading
from aitap.storage.evidence.chain import keep_evidence
from aitap.storage.evidence.keys import fingerprint
from aitap.storage.evidence.verify import Problem, Verification
from tests.storage.making import ANN, BEN, T0, Recording, interception, lineage, prompt, thought, tokens, tool

KEY = Ed25519PrivateKey.generate()
KEYS = {fingerprint(KEY.public_key()): KEY.public_key()}

Look = Callable[..., list[Problem]]


def message(text: str, parent: str | None = None, role: str = "user") -> StoredMessage:
    content = msgspec.json.encode([{"type": "text", "text": text}])
    return StoredMessage(message_digest(parent, role, content), parent, role, content.decode(), T0)


@pytest.fixture
def sealed(database: Database) -> Iterator[Recording]:
    """Two sessions; a tool call that a later request answers, contents, a reading; one call in flight."""
    keep_evidence(database, KEY)
    recording = Recording(database)
    asked = message("hi")
    said = message("hello", asked.digest, "assistant")
    recording.batch(
        interception(
            T0,
            client="Codex",
            client_session_id="s1",
            metadata={"b": 1, "a": {"c": [1.5, "ü"]}},
            user_prompts=[prompt("hi")],
            token_usages=[tokens(metadata={"x": 1}, cost_micros=7, price_book="1")],
            tool_usages=[tool("call_1", '{"command":"ls"}')],
            model_thoughts=[thought("hm")],
            request_digest=asked.digest,
            response_digest=said.digest,
            contents=[asked, said],
            streaming=True,
            time_to_first_token=0.1,
        )
    )
    recording.batch(
        interception(T0 + 5, client_session_id="s1", lineage=lineage("call_1"), token_usages=[tokens("msg_2", T0 + 5)]),
        interception(T0 + 6, initiator_id=BEN, outcome="failed", error_type="overloaded", user_prompts=[prompt("yo")]),
    )
    recording.batch(interception(T0 + 9, None))
    reader = Reader(user_id=ANN, api_key_id="k", address="127.0.0.1", path="/x", query="limit=5")
    note_reading(database, reader, {BEN: 2})
    yield recording
    recording.writer.close()


@pytest.fixture
def look(database: Database) -> Look:
    """What a verification finds."""

    def verify(**options: object) -> list[Problem]:
        return list(Verification(database, KEYS, **options).problems())  # type: ignore[arg-type]

    return verify
