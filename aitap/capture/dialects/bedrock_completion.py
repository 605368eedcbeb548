"""A completed text of Amazon Bedrock InvokeModel, whole or in pieces: of Meta, Mistral, Titan, Cohere or DeepSeek.

Protocol facts are Amazon's public "Inference request parameters and response fields": each vendor has words of its own
for the text, for why it ended and for the counters, and none of them means two things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.capture.dialects.openai_chat_turns import turns_of
from aitap.capture.facts import ResponseFacts, UsageFact
from aitap.capture.wire.jsontext import as_dict, as_int, as_list, as_str, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CompletionDecoder", "counted"]

_STOPS = ("stop_reason", "completionReason", "finish_reason")
_INSIDE = ("outputs", "results", "choices", "generations")
_TEXTS = ("generation", "text", "outputText")
_INPUT = ("prompt_token_count", "inputTextTokenCount")
_OUTPUT = ("generation_token_count", "totalOutputTextTokenCount")


class CompletionDecoder:
    """A completed text, whole or in pieces: of Meta, Mistral, Titan, Cohere or DeepSeek."""

    def __init__(self, *, keep_text: bool) -> None:
        self.skip: tuple[bytes, ...] = ()
        self._keep_text = keep_text
        self._said: list[str] = []
        self._facts = ResponseFacts()
        self._counted: dict[str, int] = {}

    def event(self, kind: bytes, data: bytes, at: float) -> None:  # noqa: ARG002
        if self._facts.first_output_at is None:
            self._facts.first_output_at = at
        self._read(as_dict(value_of(data)))

    def document(self, data: bytes) -> None:
        value = as_dict(value_of(data))
        self._read(value)
        self._facts.complete = True  # whatever it is, an embedding too, it is whole

    def _read(self, value: dict[str, Any]) -> None:
        facts = self._facts
        inside = [as_dict(item) for name in _INSIDE for item in as_list(value.get(name))]
        for part in (value, *inside):
            facts.stop_reason = next((text for name in _STOPS if (text := as_str(part.get(name)))), facts.stop_reason)
            if self._keep_text:
                self._said += [text for name in _TEXTS if (text := as_str(part.get(name)))]
        facts.complete = facts.stop_reason is not None
        facts.response_id = as_str(value.get("generation_id")) or facts.response_id
        for target, names in (("inputTokenCount", _INPUT), ("outputTokenCount", _OUTPUT)):
            for name in names:
                if (number := as_int(value.get(name))) is not None:
                    self._counted[target] = number
        if counts := [number for item in inside if (number := as_int(item.get("tokenCount"))) is not None]:
            self._counted["outputTokenCount"] = sum(counts)

    def facts(self) -> ResponseFacts:
        self._facts.usage = counted(self._counted)
        self._facts.answer = turns_of({"role": "assistant", "content": "".join(self._said)})
        return self._facts


def counted(counters: Mapping[str, Any]) -> UsageFact | None:
    """The counters of Amazon's own, by their names in its metrics; None where there are none."""
    read = as_int(counters.get("inputTokenCount"))
    written = as_int(counters.get("outputTokenCount"))
    if read is None and written is None:
        return None
    return UsageFact(
        input_tokens=read or 0,
        output_tokens=written or 0,
        cache_read_input_tokens=as_int(counters.get("cacheReadInputTokenCount")) or 0,
        cache_write_input_tokens=as_int(counters.get("cacheWriteInputTokenCount")) or 0,
    )
