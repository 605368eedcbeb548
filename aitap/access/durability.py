"""``durability = strict``: what cannot be recorded is not relayed.

A call of a model goes to its provider only when its beginning is safe, in the database or on the spool's disk; where
it is not within :data:`PATIENCE`, or cannot be, the client gets 503 as its provider would say it, and the provider
hears nothing of the call. From then on bytes go first, as ever: no byte of an answer waits for its record. So a call
that a provider saw has a record whatever dies when, in the worst case one that says ``interrupted``.

A WebSocket is refused at its handshake, and a message that asks a model for something on one that is open is answered
by an ``error`` event, where neither database nor spool takes records at that moment; nobody waits there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from mitmproxy import ctx, http

from aitap.access.policy import asked_model
from aitap.access.policy.provider_refusals import Refusals
from aitap.access.quiet import Quiet
from aitap.capture.called import called

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mitmproxy.websocket import WebSocketMessage

    from aitap.access.startup import Startup
    from aitap.capture.called import Called
    from aitap.capture.line import RecorderLine
    from aitap.capture.relay import RelayedExchange

__all__ = ["PATIENCE", "Durability"]

logger = logging.getLogger(__name__)

STATUS = 503
PATIENCE = 10.0
"""Seconds that a call waits for its record's beginning to be safe."""

_REASON = "unrecordable"
_MESSAGE = "This proxy must record every call and cannot at the moment; the call was not sent. Try again later."
_UNKEPT = "neither database nor spool took the record"
_LOOK = 0.25
_QUIET = 60.0


class Recording(Protocol):
    """What must be known of :class:`aitap.capture.addon.Recorder`."""

    line: RecorderLine | None

    def exchange_of(self, flow: http.HTTPFlow) -> RelayedExchange | None:
        """What notes this exchange; None where it is not recorded."""
        ...


class Durability:
    """A part of the access control (see :class:`aitap.access.startup.Part`); asked after the recorder."""

    def __init__(self) -> None:
        self.recorder: Recording | None = None
        """Whose exchanges wait here."""
        self.refusals: Counter[str] = Counter()
        self._startup: Startup | None = None
        self._answers: Refusals | None = None
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._quiet = Quiet(_QUIET, 1)

    @property
    def idle(self) -> bool:
        """Whether it need not be asked."""
        return self._startup is None

    def start(self, startup: Startup) -> None:
        """Begin, where the setting says so."""
        if startup.settings.durability != "strict" or self.recorder is None or self.recorder.line is None:
            return
        self._startup = startup
        self._answers = Refusals("unavailable.toml")
        self.recorder.line.on_settled = self._settled

    def stop(self) -> None:
        """The proxy ends: who waits is not sent on."""
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """The request is whole, and the recorder has been told of it."""
        startup, recorder = self._startup, self.recorder
        if startup is None or recorder is None or flow.response is not None:
            return None
        call = called(startup.router, flow)
        exchange = recorder.exchange_of(flow)
        if exchange is not None:
            # It knew where the call went before other scripts changed that; it may be no call by now.
            startup.relay.flush()
            return self._hold(flow, call, exchange.number)
        if call is not None and (call.post or self._trouble()):
            self._refuse(flow, call, self._trouble() or "the recorder is too far behind")
        return None

    async def _hold(self, flow: http.HTTPFlow, call: Called | None, number: int) -> None:
        """Wait until the record's beginning is safe, or refuse."""
        trouble = self._trouble()
        if not trouble:
            loop = asyncio.get_running_loop()
            future = self._waiting[number] = loop.create_future()
            deadline = loop.time() + PATIENCE
            while not future.done() and not trouble:
                # Trouble may come to be known while it waits.
                await asyncio.wait((future,), timeout=_LOOK)
                trouble = self._trouble() or (_UNKEPT if loop.time() > deadline else "")
            del self._waiting[number]
            trouble = (trouble or _UNKEPT) if not future.done() or not future.result() else ""
        if trouble:
            self._refuse(flow, call, trouble)

    def _settled(self, numbers: list[int], kept: bool) -> None:  # noqa: FBT001 - as the line calls it
        for number in numbers:
            future = self._waiting.get(number)
            if future is not None and not future.done():
                future.set_result(kept)

    def _trouble(self) -> str:
        """Why nothing can be recorded just now, as far as is known; empty where it can."""
        line = None if self.recorder is None else self.recorder.line
        if line is None:
            return "the recorder does not run"
        return str(line.report.get("keeps_nothing", ""))

    def _refuse(self, flow: http.HTTPFlow, call: Called | None, trouble: str) -> None:
        self._note(trouble)
        route = call.route if call is not None else None
        api, name = (route.api, route.provider_name) if route is not None else ("", "")
        answer = (self._answers or Refusals("unavailable.toml")).answer(api, name, _MESSAGE, _REASON)
        headers = answer.headers | {"x-should-retry": "true", "retry-after": "5"}
        flow.response = http.Response.make(STATUS, answer.body, headers)

    def websocket_message(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Withhold a message that asks for what could not be recorded."""
        startup = self._startup
        if startup is None or flow.websocket is None or not self._trouble():
            return None
        message = flow.websocket.messages[-1]
        call = called(startup.router, flow)
        return self._said(flow, call, message) if call is not None and message.from_client else None

    async def _said(self, flow: http.HTTPFlow, call: Called, message: WebSocketMessage) -> None:
        asks = True
        with contextlib.suppress(ValueError):
            asks, _ = await asked_model.in_frame(message.content)
        if asks:
            self._note(self._trouble())
            message.drop()  # type: ignore[no-untyped-call]
            event = (self._answers or Refusals("unavailable.toml")).event(
                call.route.api, message.content, _MESSAGE, _REASON
            )
            ctx.master.commands.call("inject.websocket", flow, True, event, True)  # noqa: FBT003 - to the client, as text

    def _note(self, trouble: str) -> None:
        self.refusals[_REASON] += 1
        if self._quiet.may_speak(_REASON):
            logger.warning("aitap: durability = strict: calls are refused, %s", trouble)
