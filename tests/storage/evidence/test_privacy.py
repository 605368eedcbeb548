"""Erasure and redaction are on record like everything else: they break no chain."""

from __future__ import annotations

from aitap.redaction.redactor import Redactor
from aitap.redaction.rows import Rule
from aitap.storage.database import rows_of
from aitap.storage.erasure import erase_session, erase_user
from aitap.storage.redacting import redact_stored
from tests.storage.evidence.conftest import Look
from tests.storage.making import ANN, BEN, Recording


def test_a_person_or_a_session_that_is_erased_leaves_a_chain_without_a_gap(sealed: Recording, look: Look) -> None:
    [*_, one] = erase_session(sealed.database, "s1", ANN)
    assert one.removed["aibridge_interceptions"] == 2
    assert look() == []
    [*_, other] = erase_user(sealed.database, BEN)
    assert (other.removed["aibridge_interceptions"], other.pseudonymised) == (1, 1)
    assert look() == []
    assert rows_of(sealed.database, "SELECT count(*) FROM aitap_audit WHERE subject_id = ?", (BEN,)) == [(0,)]


def test_history_that_is_redacted_is_covered_as_it_is_now(sealed: Recording, look: Look) -> None:
    [*_, last] = redact_stored(sealed.database, Redactor([Rule(name="greeting", pattern="hi|hello|hm")]))
    assert (last.changed, last.removed) == (1, {"greeting": 4})
    assert look() == []
