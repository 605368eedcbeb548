"""Redaction as records are made: fails closed, within a limit of time, and says what it did.

A text in which the rules cannot be applied, because one of them raises, takes too long or the text is longer than
anything that is searched, is withheld altogether: :data:`WITHHELD` stands in its place. The limit is processor time
of this process, so that a busy machine withholds nothing; it holds on the main thread, where the recorder and
``aitap ingest`` work, and where the system has such a timer (not on Windows).
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from aitap.redaction.engine import Engine
from aitap.redaction.rows import chosen_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aitap.redaction.engine import Counts
    from aitap.redaction.rows import OwnRule, Rule

__all__ = ["WITHHELD", "WITHHELD_RULE", "Manifest", "Redactor", "redactor_of"]

logger = logging.getLogger(__name__)

WITHHELD = "[withheld: it could not be redacted]"
WITHHELD_RULE = "withheld"
"""What a manifest says of such a text, in place of a rule."""

Manifest = dict[str, "Counts"]
"""How many of what each rule removed, by the field of the record."""

T = TypeVar("T")

_SECONDS = 1.0
_SECONDS_PER_CHARACTER = 2e-6
_LONGEST = 64 * 1024 * 1024
_REMEMBERED = 20_000


class _CannotError(Exception):
    """Why a text cannot be redacted, in words that hold nothing of it."""


class Redactor:
    """Applies rules to texts; without rules it withholds all of them.

    ``seconds`` is the processor time that any text may take, beside its length's share.
    """

    def __init__(self, rules: Iterable[Rule] | None, *, seconds: float = _SECONDS) -> None:
        self.failures = 0
        """How many texts were withheld."""
        self._seconds = seconds
        self._seen: dict[bytes, str | None] = {}
        self._engine: Engine | None = None
        if rules is not None:
            try:
                self._engine = Engine(rules)
            except Exception:
                logger.exception("aitap: the rules of redaction cannot be used")
        if self._engine is None:
            logger.error("aitap: redaction is on and does not work: ALL TEXTS ARE WITHHELD")

    def text(self, text: str) -> tuple[str, Counts]:
        """What may be kept of a text, and how many of what each rule removed. Never raises."""
        counts: Counts = {}
        kept = self._guarded(lambda engine: engine.text(text, counts), len(text))
        return (WITHHELD, {WITHHELD_RULE: 1}) if kept is None else (kept, counts)

    def parts(self, parts: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Counts]:
        """The same of a message's parts (:mod:`aitap.capture.turns`)."""
        counts: Counts = {}
        kept = self._guarded(lambda engine: engine.value(parts, counts), _length(parts))
        return ([{"type": WITHHELD_RULE, "text": WITHHELD}], {WITHHELD_RULE: 1}) if kept is None else (kept, counts)

    def again(self, text: str) -> str:
        """The same text as :meth:`text` gives, for texts that come again and again: it remembers what it said."""
        name = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if name in self._seen:
            known = self._seen[name]
            return text if known is None else known
        kept, _ = self.text(text)
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[name] = None if kept == text else kept
        return kept

    def _guarded(self, work: Callable[[Engine], T], length: int) -> T | None:
        try:
            try:
                return self._applied(work, length)
            finally:
                # Once more: the alarm may have rung while it was being switched off.
                _silence()
        except Exception as error:  # noqa: BLE001 - whatever it is, the text must not be kept
            self.failures += 1
            # Nothing of the text: an error's words may hold some of it.
            why = error.args[0] if isinstance(error, _CannotError) else type(error).__name__
            if self.failures & (self.failures - 1) == 0:
                logger.error(  # noqa: TRY400
                    "aitap: a text could not be redacted and is withheld (%s); %d so far", why, self.failures
                )
            return None

    def _applied(self, work: Callable[[Engine], T], length: int) -> T:
        if self._engine is None:
            raise _CannotError("the rules cannot be used")
        if length > _LONGEST:
            raise _CannotError("it is too long")
        with _limited(self._seconds + length * _SECONDS_PER_CHARACTER):
            return work(self._engine)


def redactor_of(words: tuple[str, ...], own: tuple[OwnRule, ...] = ()) -> Redactor | None:
    """The redactor that the settings ask for; None where redaction is off."""
    if not words:
        return None
    try:
        rules = chosen_rules(words, own)
    except Exception:
        logger.exception("aitap: the rules of redaction cannot be read")
        return Redactor(None)
    return Redactor(rules)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _length(item) for key, item in value.items())
    return sum(map(_length, value)) if isinstance(value, list) else 0


def _ring(*_: Any) -> None:
    raise _CannotError("it took too long")


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """The block ends in an exception once it has taken so much processor time: Python's ``re`` heeds signals."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _silence() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
