"""Ids that providers and clients choose, in the length in which records keep them.

They are looked for again: by indexes, of which PostgreSQL's take no more than some 2,700 bytes, and in memory, where
thousands of them wait for the request that names them. The longest that is in use has some 400 characters.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LONGEST", "kept_id", "request_id_of"]

_Id = TypeVar("_Id", str, str | None)

LONGEST = 512
"""Characters; what is longer keeps its beginning, with a digest of the whole at the end."""


def kept_id(text: _Id) -> _Id:
    """The id itself, or what stands for one that is too long: the same for the same id, and for no other."""
    if text is None or len(text) <= LONGEST:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text[: LONGEST - len(digest) - 1]}~{digest}"


_REQUEST_IDS = (
    *("request-id", "x-request-id", "x-amzn-requestid", "x-github-request-id", "apim-request-id"),
    *("x-oai-request-id", "x-cloudaicompanion-trace-id"),
    # OpenRouter, Cohere, Mistral, DeepSeek, Volcengine, Nvidia, LiteLLM; who has none may stand behind Cloudflare.
    *("x-generation-id", "x-debug-trace-id", "mistral-correlation-id", "x-ds-trace-id", "x-tt-logid", "nvcf-reqid"),
    *("x-litellm-call-id", "cf-ray"),
)
"""The headers in which providers and gateways say what they call this request, the most telling first."""


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """What the provider calls a request, from its answer's headers, which have lower-case names."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)
