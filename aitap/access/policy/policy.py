"""Which calls of a model are refused: by rules, which are off by default, and where a budget is used up.

The rules are those of :mod:`aitap.access.policy.policy_rows`, the budgets of :mod:`aitap.access.policy.budgets`.

Where a call goes is read when its head comes, before other scripts may redirect it; it is decided when the
request is whole, before anything is sent on. A refused call gets 403 as its provider would say it and is recorded
like any other that failed; the provider hears nothing of it. With ``warn`` all calls go on, and the record says what
would have been refused. Calls that are not recorded (batches, embeddings; see :mod:`aitap.access.policy.other_calls`)
are decided by the same rules. What is no call of a model (lists of models, files, telemetry) is not looked at, and
neither are tunnels: :mod:`aitap.access.decryption.decryption` sees to it that no call hides in one.

A WebSocket is refused at its handshake where the model does not matter; nothing was asked of a model then, so that is
counted and logged, and leaves no record. Where the model matters, the message that asks for a response is withheld
and answered by an ``error`` event; the socket stays, and the record is that of a response that failed. So it is where
a budget is used up while a socket is open.

Whatever goes wrong here refuses the call if anything is enforced. Where nobody has anything against anything, which
is so without rules and with money left, requests are not looked at.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from mitmproxy import ctx, exceptions, http

from aitap.access.policy import asked_model
from aitap.access.policy.budgets import Budgets
from aitap.access.policy.decisions import ALLOWED, POLICY, Call, Decision, Rules, decide
from aitap.access.policy.other_calls import OtherCalls, in_other_path
from aitap.access.policy.provider_refusals import STATUS, Refusals
from aitap.access.quiet import Quiet
from aitap.capture.called import Called, called
from aitap.capture.clients import Clients
from aitap.capture.dialects import DIALECTS
from aitap.capture.headers import Headers
from aitap.record import UNKNOWN
from aitap.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import TypeAlias

    from mitmproxy.websocket import WebSocketMessage

    from aitap.access.peers import Peers
    from aitap.access.policy.decisions import Decider
    from aitap.access.startup import Startup
    from aitap.capture.routes import Router

__all__ = ["Policy"]

logger = logging.getLogger(__name__)

_QUIET = 10.0
"""Seconds for which a rule that was told in the log is not told again."""
_MOST_RULES = 10_000

_NO_STREAM = "policy = enforce reads requests before they go on: leave out mitmproxy's option stream_large_bodies"
_UNDECIDED = "This proxy could not find out whether this call is allowed."
_MISDIRECTED = "This call names another provider than the connection it came on."
_STARTING = "aitap: the proxy is not ready yet; try again in a moment\n"

Hook: TypeAlias = "Coroutine[Any, Any, None] | None"
"""mitmproxy awaits what a hook gives back; a call that is decided at once gives nothing."""


class _Asked(msgspec.Struct, frozen=True, eq=False):
    call: Call
    target: Called
    misdirected: bool = False
    other: bool = False
    """One that is not recorded."""


class Policy:
    """A part of the access control (see :class:`aitap.access.startup.Part`)."""

    def __init__(self, peers: Peers) -> None:
        self.deciders: list[Decider] = []
        """Asked in this order."""
        self.refusals: Counter[int | str] = Counter()
        """How many calls each rule refused (0 is no rule), and ``budget``. ``warnings``: how many would have been."""
        self.warnings: Counter[int | str] = Counter()
        self._peers = peers
        self._started = self._needed = False
        """``_needed``: whether any call was looked at so far; where none was, none need be looked for."""
        self._ruled = self._strict = False
        """Whether there are rules, and whether they are enforced."""
        self._budgets: Budgets | None = None
        self._router: Router | None = None
        self._clients: Clients | None = None
        self._answers: Refusals | None = None
        self._others: OtherCalls | None = None
        self._calls: WeakKeyDictionary[http.HTTPFlow, _Asked | None] = WeakKeyDictionary()
        self._sockets: WeakKeyDictionary[http.HTTPFlow, _Asked] = WeakKeyDictionary()
        self._quiet = Quiet(_QUIET, _MOST_RULES)
        self._untold: Counter[int | str] = Counter()

    def start(self, startup: Startup) -> None:
        """Begin. Raises :class:`SettingsError` where requests are to be streamed past an enforced policy."""
        settings = startup.settings
        if settings.policy == "enforce" and ctx.options.stream_large_bodies:
            raise SettingsError(_NO_STREAM)
        if settings.policy != "off":
            self._ruled, self._strict = True, settings.policy == "enforce"
            self.deciders.append(Rules(settings.rules, enforced=self._strict))
            told = "aitap: policy = %s: %d rules, as the file had them at the start"
            logger.info(told, settings.policy, len(settings.rules))
        if settings.budgets != "off":
            self._budgets = Budgets(settings.budgets)
            self.deciders.append(self._budgets)
            startup.directory.follow(self._budgets)
        if self.deciders:
            self._answers, self._others = Refusals(), OtherCalls()
            if any(decider.needs_client for decider in self.deciders):
                self._clients = Clients()
            self._router = startup.router
        self._started = True

    @property
    def budgets(self) -> dict[tuple[str, str, str, str], float]:
        """How much of each budget is used up, for the metrics."""
        return {} if self._budgets is None else self._budgets.ratios

    def stop(self) -> None:
        """The proxy ends."""

    def configure(self, updated: set[str]) -> None:
        """Refuse to stream requests past an enforced policy."""
        if self._strict and "stream_large_bodies" in updated and ctx.options.stream_large_bodies:
            raise exceptions.OptionsError(f"aitap: {_NO_STREAM}")  # type: ignore[no-untyped-call]

    # One call

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Keep in mind where a call goes and whose it is."""
        if self._idle() and not self._may_last(flow):
            return
        self._needed = True
        self._calls[flow] = None  # in case of an error: refused
        if self._router is None:
            return
        if "h2c" in flow.request.headers.get("upgrade", "").lower():
            # What follows would pass unread; nobody need grant an upgrade (RFC 9110, 7.8).
            for name in ("upgrade", "http2-settings"):
                flow.request.headers.pop(name, None)
        target = called(self._router, flow)
        other = target is None
        if target is None and self._others is not None:
            target = self._others.find(self._router, flow)
        if target is None:
            del self._calls[flow]
        else:
            misdirected = self._ruled and _misdirected(self._router, flow, target)
            asked = _Asked(self._call(flow, target), target, misdirected=misdirected, other=other)
            self._calls[flow] = asked
            if flow.request.stream and self._budgets is not None and not self._budgets.decide(asked.call).allowed:
                # What streams would be with the provider by the time it is decided.
                flow.request.stream = False

    def request(self, flow: http.HTTPFlow) -> Hook:
        """The request is whole: refuse it, or let it go on."""
        if not self._needed or flow not in self._calls:
            return None
        asked = self._calls.pop(flow)
        if flow.response is not None:
            return None
        if asked is None:
            if self._enforced():
                flow.response = http.Response.make(503, _STARTING, {"content-type": "text/plain", "retry-after": "1"})
            return None
        try:
            if asked.misdirected:
                self._act(flow, asked, Decision(allowed=False, message=_MISDIRECTED, enforced=self._strict))
                return None
            if not asked.target.post:
                self._handshake(flow, asked)
                return None
            decision = decide(self.deciders, asked.call)
            if decision is not None and decision.allowed:
                return None
            if decision is None or asked.target.route.guessed:
                return self._look(flow, asked)
        except Exception:  # noqa: BLE001 - logged there, and refused
            decision = self._undecided()
        self._act(flow, asked, decision)
        return None

    async def _look(self, flow: http.HTTPFlow, asked: _Asked) -> None:
        """Decide by what the request says."""
        try:
            decision, asked = await self._decision(flow, asked)
        except Exception:  # noqa: BLE001 - logged there, and refused
            decision = self._undecided()
        self._act(flow, asked, decision)

    async def _decision(self, flow: http.HTTPFlow, asked: _Asked) -> tuple[Decision, _Asked]:
        api, path = asked.target.route.api, asked.target.path
        guessed = asked.target.route.guessed
        names, settled = (in_other_path(path), False) if asked.other else asked_model.in_path(api, path)
        body = flow.request.data.content or b""
        coding = flow.request.headers.get("content-encoding", "")
        if coding and (guessed or not settled):
            body = await asked_model.undone(body, coding)
        if not settled:
            names += await asked_model.in_body(body)
            names += asked_model.in_header(flow.request.headers.get(asked.target.route.model_header, ""))
        asked = _with_models(asked, names)
        decision = self._decided(decide(self.deciders, asked.call))
        if guessed and not decision.allowed and (body or not coding):
            # Only its path looks like a call of a model, so far. What cannot be unpacked stays one.
            facts = DIALECTS[api].request(body, path)
            decision = decision if facts.ask_a_model() else ALLOWED
        return decision, asked

    def _act(self, flow: http.HTTPFlow, asked: _Asked, decision: Decision) -> None:
        if decision.allowed:
            return
        flow.metadata[POLICY] = self._noted(asked, decision)
        if not decision.enforced:
            return
        answer = (self._answers or Refusals()).answer(
            asked.target.route.api, asked.call.provider_name, decision.message, decision.reason
        )
        flow.response = http.Response.make(STATUS, answer.body, answer.headers)

    # One WebSocket

    def _handshake(self, flow: http.HTTPFlow, asked: _Asked) -> None:
        decision = decide(self.deciders, asked.call)
        later = decision is None or self._budgets is not None
        if decision is None and asked.target.route.api == "openai.realtime":
            # The session has one model, and the provider may speak without being asked.
            asked = _with_models(asked, asked_model.in_query(asked.target.query))
            decision = decide(self.deciders, asked.call)
        if decision is not None and not decision.allowed:
            if decision.enforced:
                self._act(flow, asked, decision)
                return
            later = True
        if later:
            self._sockets[flow] = asked

    def websocket_message(self, flow: http.HTTPFlow) -> Hook:
        """Withhold a message that asks for what is refused."""
        asked = self._sockets.get(flow)
        if asked is None or flow.websocket is None or self._idle():
            return None
        message = flow.websocket.messages[-1]
        return self._said(flow, asked, message) if message.from_client else None

    async def _said(self, flow: http.HTTPFlow, asked: _Asked, message: WebSocketMessage) -> None:
        asks = True
        try:
            asks, names = await asked_model.in_frame(message.content)
            if not asks and not names:
                return
            asked = _with_models(asked, names or asked.call.models or ())
            decision = self._decided(decide(self.deciders, asked.call))
        except Exception:  # noqa: BLE001 - logged there, and refused
            decision = self._undecided()
        if decision.allowed:
            return
        noted = self._noted(asked, decision)
        if asks:
            flow.metadata[POLICY] = noted
        if not decision.enforced:
            return
        message.drop()  # type: ignore[no-untyped-call]
        event = (self._answers or Refusals()).event(
            asked.target.route.api, message.content, decision.message, decision.reason
        )
        ctx.master.commands.call("inject.websocket", flow, True, event, True)  # noqa: FBT003 - to the client, as text

    # Facts, counters, log

    def _call(self, flow: http.HTTPFlow, target: Called) -> Call:
        identity = self._peers.speaker(flow.client_conn)
        client = self._clients.named(Headers(flow.request.headers.fields)) if self._clients is not None else None
        return Call(
            user=identity.username,
            user_id=identity.user_id,
            client=client,
            provider=target.route.provider,
            provider_name=target.route.provider_name,
            host=target.host,
        )

    def _idle(self) -> bool:
        """Whether no decider has anything against any call now."""
        if not self._started:
            return False
        for decider in self.deciders:  # noqa: SIM110 - at each request: a generator costs more than the loop
            if not decider.idle:
                return False
        return True

    def _may_last(self, flow: http.HTTPFlow) -> bool:
        """Whether this may become a socket, on which something is asked when that may be no longer so."""
        request = flow.request
        return bool(self.deciders) and request.data.method == b"GET" and "upgrade" in request.headers

    def _enforced(self) -> bool:
        """Whether what cannot be decided is refused."""
        return not self._started or any(decider.enforced for decider in self.deciders)

    def _decided(self, decision: Decision | None) -> Decision:
        """A decider that still does not know, when all is known, has said no."""
        return decision or Decision(allowed=False, message=_UNDECIDED, enforced=self._enforced())

    def _undecided(self) -> Decision:
        """Called from an ``except``."""
        logger.exception("aitap: a call could not be decided")
        return self._decided(None)

    def _noted(self, asked: _Asked, decision: Decision) -> dict[str, Any]:
        """Count and tell; what the record shall say."""
        reason = decision.reason
        (self.refusals if decision.enforced else self.warnings)[reason] += 1
        if not self._quiet.may_speak(reason):
            self._untold[reason] += 1
        else:
            more = self._untold.pop(reason, 0)
            call = asked.call
            logger.warning(
                "aitap: %s %s %r: %s%s at %r%s",
                "a budget that is used up" if decision.budget else f"policy rule {decision.rule}",
                "refuses" if decision.enforced else "would refuse",
                call.user,
                f"model {', '.join(call.models)!r} of " if call.models else "",
                call.provider_name if call.provider != UNKNOWN else UNKNOWN,
                call.host,
                f" ({more} more since it was last told)" if more else "",
            )
        mode = "enforce" if decision.enforced else "warn"
        budget = {"budget": decision.budget} if decision.budget else {}
        return {"action": "deny", "rule": decision.rule, "mode": mode, **budget}


def _misdirected(router: Router, flow: http.HTTPFlow, target: Called) -> bool:
    """Whether the head names another provider's host (RFC 9110, 7.4): it is the server's choice whom it answers for."""
    named = flow.request.pretty_host.lower().rstrip(".")
    return named != target.host and router.knows(named, flow.request.data.port) is not None


def _with_models(asked: _Asked, names: tuple[str, ...]) -> _Asked:
    return msgspec.structs.replace(asked, call=msgspec.structs.replace(asked.call, models=names))
