"""Words of Gemini's that some clients have sent as numbers (``$alt=json;enum-encoding=int``).

Google's older libraries for Python (Vertex AI, Generative AI) ask so where they speak HTTP. The numbers are those of
Google's published protocol buffers, ``Candidate.FinishReason``, ``PromptFeedback.BlockReason``, ``Modality`` and
``TrafficType``; the two APIs have numbered the reasons to finish in ways of their own.
"""

from __future__ import annotations

from typing import Any

from aitap.capture.wire.jsontext import as_int, as_str

__all__ = ["blocked_word", "finish_word", "modality_word", "traffic_word"]

_ALIKE = ("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
_VERTEX = (
    *_ALIKE,
    *("BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR", "IMAGE_SAFETY"),
    *("IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "UNEXPECTED_TOOL_CALL", "NO_IMAGE"),
)
_GEMINI = (
    *_ALIKE,
    *("LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY"),
    "UNEXPECTED_TOOL_CALL",
)
_BLOCKED = ("BLOCK_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT")
_MODALITY = ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
_TRAFFIC = ("TRAFFIC_TYPE_UNSPECIFIED", "ON_DEMAND", "PROVISIONED_THROUGHPUT")


def _word(value: Any, words: tuple[str, ...]) -> str | None:
    """The word, which a number stands for; a number that is in no list stands for itself. None where it is neither."""
    number = as_int(value)
    if number is None:
        return as_str(value)
    return words[number] if number < len(words) else str(number)


def finish_word(value: str | int | None, *, vertex: bool) -> str | None:
    """Why a candidate is finished, as Vertex AI numbers it, or else as the Gemini API does. None or 0: it is not."""
    return _word(value, _VERTEX if vertex else _GEMINI) if value else None


def blocked_word(value: Any) -> str | None:
    """Why a prompt was refused. None or 0: it was not."""
    return _word(value, _BLOCKED) if value else None


def modality_word(value: Any) -> str | None:
    """What kind of thing was counted."""
    return _word(value, _MODALITY)


def traffic_word(value: Any) -> str | None:
    """How a response was paid for."""
    return _word(value, _TRAFFIC)
