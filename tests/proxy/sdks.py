"""The official SDKs, pointed at the proxy as an application would, with a tap on the bytes they receive."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import anthropic
import openai

from tests.proxy.mitmdump import Mitmdump

__all__ = ["ANTHROPIC_KEY", "OPENAI_KEY", "Tap"]

ANTHROPIC_KEY = "sk-ant-api03-not-a-real-key-0123456789"
OPENAI_KEY = "sk-proj-not-a-real-key-0123456789"


class Tap:
    """Makes SDK clients; ``received`` holds the body of each response as the wire gave it, before any decoding."""

    def __init__(self, proxy: Mitmdump) -> None:
        self._proxy = proxy
        self.received: list[bytearray] = []

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=ANTHROPIC_KEY, max_retries=0, http_client=self._client(anthropic))

    def async_anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key=ANTHROPIC_KEY, max_retries=0, http_client=self._async_client(anthropic))

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(api_key=OPENAI_KEY, max_retries=0, http_client=self._client(openai))

    def async_openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key=OPENAI_KEY, max_retries=0, http_client=self._async_client(openai))

    def _client(self, sdk: ModuleType) -> Any:
        httpx, taken = _httpx(sdk), self.received

        class Stream(httpx.SyncByteStream):
            def __init__(self, inner: Any) -> None:
                self.inner, self.bytes = inner, bytearray()
                taken.append(self.bytes)

            def __iter__(self) -> Iterator[bytes]:
                for piece in self.inner:
                    self.bytes.extend(piece)
                    yield piece

            def close(self) -> None:
                self.inner.close()

        class Transport(httpx.HTTPTransport):
            def handle_request(self, request: Any) -> Any:
                response = super().handle_request(request)
                response.stream = Stream(response.stream)
                return response

        return sdk.DefaultHttpxClient(transport=Transport(proxy=self._proxy.url, verify=self._proxy.trust()))

    def _async_client(self, sdk: ModuleType) -> Any:
        httpx, taken = _httpx(sdk), self.received

        class Stream(httpx.AsyncByteStream):
            def __init__(self, inner: Any) -> None:
                self.inner, self.bytes = inner, bytearray()
                taken.append(self.bytes)

            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for piece in self.inner:
                    self.bytes.extend(piece)
                    yield piece

            async def aclose(self) -> None:
                await self.inner.aclose()

        class Transport(httpx.AsyncHTTPTransport):
            async def handle_async_request(self, request: Any) -> Any:
                response = await super().handle_async_request(request)
                response.stream = Stream(response.stream)
                return response

        return sdk.DefaultAsyncHttpxClient(transport=Transport(proxy=self._proxy.url, verify=self._proxy.trust()))


def _httpx(sdk: ModuleType) -> Any:
    """The HTTP library this version of the SDK stands on: httpx, or its successor."""
    return sys.modules[sdk.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
