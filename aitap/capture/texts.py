"""What becomes of a text on its way into a record: kept as it is, redacted, or left out.

With ``capture = minimal`` no text is kept, only how long it was: neither what somebody wrote nor what a provider or a
connection says went wrong, which may repeat it. Ids and names are no texts. Where redaction is on, every text goes
through it first, and the record's metadata tells what was removed (``redacted``: by field, by rule, how many).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aitap.capture.credentials import bare_url

if TYPE_CHECKING:
    from aitap.capture.facts import Message
    from aitap.capture.prompts import Prompt
    from aitap.record import Interception
    from aitap.redaction.engine import Counts
    from aitap.redaction.redactor import Redactor

__all__ = ["MANIFEST", "Texts", "note_redacted"]

MANIFEST = "redacted"
"""Where a record's metadata says what was removed."""
_LONGEST_URI = 2048
"""Characters that are kept of the address of what was attached."""

_PRODUCT = re.compile(r"[A-Za-z][\w.+-]{0,63}/[\w.+-]{1,63}(?=$|[ ;,)])")
"""RFC 9110, 10.1.5: a product and its version. Comments beside them are free text."""


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
                # The query of an address is often the signature that opens it.
                bare = bare_url(attachment["uri"]) or ""
                attachment["uri"] = self.told("user_prompts.0.metadata", bare)[:_LONGEST_URI]
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

    def failed(self, text: str, status: int | None) -> str:
        """What is kept of the words with which the exchange failed."""
        if self._record.capture == "minimal":
            own = f"HTTP {status}" if status is not None and status >= 400 else "the provider told of an error"
            if text != own:
                self._record.metadata["error_chars"] = len(text)
            return own
        return self.told("error_message", text)

    def broken(self, text: str) -> str:
        """What is kept of the words with which a connection broke, which may quote what came over it."""
        if self._record.capture == "minimal":
            self._record.metadata["error_chars"] = len(text)
            return "the connection broke"
        return self.told("error_message", text)

    def user_agent(self, text: str | None) -> str | None:
        """What is kept of the client's header: with minimal the products that it names."""
        if text is None or self._record.capture != "minimal":
            return text
        return " ".join(_PRODUCT.findall(text)) or None

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
