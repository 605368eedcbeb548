"""What becomes of a text on its way into a record: kept as it is, redacted, or left out.

With ``capture = minimal`` no text that anybody wrote is kept, only how long it was; what a provider says went wrong
is a fact and stays. Where redaction is on, every text goes through it first, and the record's metadata tells what was
removed (``redacted``: by field, by rule, how many).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aitap.capture.facts import Message
    from aitap.capture.prompts import Prompt
    from aitap.record import Interception
    from aitap.redaction.engine import Counts
    from aitap.redaction.redactor import Redactor

__all__ = ["MANIFEST", "Texts", "note_redacted"]

MANIFEST = "redacted"
"""Where a record's metadata says what was removed."""


def note_redacted(record: Interception, field: str, counts: Counts) -> None:
    """Add to the record's manifest what was removed from this field."""
    if counts:
        # Anew, not changed: a copy of the record may be with the writer already.
        record.metadata[MANIFEST] = {**record.metadata.get(MANIFEST, {}), field: counts}


class Texts:
    """The texts of one record."""

    def __init__(self, record: Interception, redactor: Redactor | None) -> None:
        self._record = record
        self._redactor = redactor

    def prompt(self, prompt: Prompt) -> str:
        """What is kept of a prompt; its metadata follow."""
        attachments = prompt.metadata.get("attachments", ())
        for attachment in attachments:
            if "uri" not in attachment:
                continue
            if self._record.capture == "minimal":
                del attachment["uri"]
            else:
                attachment["uri"] = self.told("user_prompts.0.metadata", attachment["uri"])
        return self.kept("user_prompts.0.prompt", prompt.text, prompt.metadata)

    def kept(self, field: str, text: str, metadata: dict[str, Any]) -> str:
        """What is kept of a text that somebody wrote; ``metadata`` tell its length where that is nothing."""
        if self._record.capture == "minimal":
            metadata["chars"] = len(text)
            return ""
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
        return self.told(field, text)

    def failure(self, field: str, text: str | None, metadata: dict[str, Any]) -> str | None:
        """What is kept of the words with which a tool failed: they are its output, and so with minimal nothing."""
        if text is None:
            return None
        if self._record.capture == "minimal":
            metadata["error_chars"] = len(text)
            return None
        return self.told(field, text)

    def told(self, field: str, text: str) -> str:
        """What is kept of a text that is a fact in every mode."""
        if self._redactor is None or not text:
            return text
        kept, counts = self._redactor.text(text)
        note_redacted(self._record, field, counts)
        return kept

    def conversation(self, messages: list[Message]) -> list[Message]:
        """What a conversation is known again by: a digest of it is stored, which must not be one of a secret."""
        if self._redactor is not None:
            for message in messages:
                message.texts = [self._redactor.again(text) for text in message.texts]
        return messages
