"""Flow files of mitmproxy (``mitmdump -w``), flow by flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from mitmproxy import exceptions, http
from mitmproxy.io import FlowReader

from aitap.capture.endings import gone_by_client
from aitap.capture.saved import SavedExchange, SavedFileError, SavedMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.capture.saved_file import SavedFile

__all__ = ["exchange_of", "read_flows"]

_LATEST = 1e11
# A flow is made of what the file says without a look at it, so it may break anywhere.
_BROKEN = (
    *(exceptions.FlowReadException, AssertionError, AttributeError, LookupError),
    *(OverflowError, RecursionError, TypeError, ValueError),
)

Ending = Literal["whole", "broken", "cancelled", "interrupted"]


def read_flows(file: SavedFile) -> Iterator[SavedExchange | None]:
    """The exchanges of a file in its order, which is that of their ends; None for a flow of another kind.

    Raises :class:`SavedFileError` where it cannot be read any further.
    """
    flows = iter(FlowReader(cast("Any", file)).stream())
    good, number = 0, 0
    while True:
        try:
            flow = next(flows)
            found = exchange_of(flow) if isinstance(flow, http.HTTPFlow) else None
        except StopIteration:
            return
        except _BROKEN as error:
            reason = "the last flow is cut off" if not file.peek(1) else str(error) or type(error).__name__
            raise SavedFileError(f"cannot be read beyond flow {number}, byte {good}: {reason}") from None
        good, number = file.position, number + 1
        yield found


def exchange_of(flow: http.HTTPFlow) -> SavedExchange | None:
    """What a flow tells; None where it does not say what was asked of whom and when."""
    request, response = flow.request, flow.response
    path, _, query = request.path.partition("?")
    started = request.timestamp_start
    names = [name for name in (request.host, flow.client_conn.sni, request.pretty_host) if name]
    if not names or not 0 <= started < _LATEST:
        return None
    asked = request.timestamp_end or started
    responded = (response.timestamp_start if response else None) or asked
    ending, failure = _ending(flow)
    ended = (response.timestamp_end if response else None) or responded
    messages = None
    if flow.websocket is not None:
        texts = [message for message in flow.websocket.messages if message.is_text or message.content[:1] == b"{"]
        messages = tuple(SavedMessage(text.content, text.timestamp, text.from_client) for text in texts)
        last = messages[-1].at if messages else ended
        ended = flow.websocket.timestamp_end or last
    if flow.error is not None:
        ended = max(ended, flow.error.timestamp)
    return SavedExchange(
        hosts=tuple(dict.fromkeys(name.lower() for name in names)),
        port=request.port,
        method=request.method,
        path=path,
        query=query,
        http_version=request.http_version,
        headers=request.headers.fields,
        started_at=started,
        body=request.raw_content,
        asked_at=asked,
        status=response.status_code if response else None,
        response_headers=response.headers.fields if response else (),
        responded_at=responded,
        response=response.raw_content if response else None,
        ended_at=ended,
        ending=ending,
        failure=failure,
        messages=messages,
    )


def _ending(flow: http.HTTPFlow) -> tuple[Ending, str | None]:
    socket = flow.websocket
    if socket is not None and socket.timestamp_end is not None:
        return "broken" if socket.closed_by_client is False else "cancelled", None
    if flow.error is not None:
        message = flow.error.msg
        return "cancelled" if gone_by_client(flow, message) else "broken", message
    if socket is not None or flow.response is None or flow.response.timestamp_end is None:
        return "interrupted", None
    return "whole", None
