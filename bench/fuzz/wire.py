"""The same attack over the network: a real mitmdump between clients and providers that frame as nobody does.

HTTP/1.1 in chunks of any size, with a length or until the end, HTTP/2 in frames of any size, WebSockets with
permessage-deflate and messages in fragments, streams that break off. What an exchange is follows from the seed and its
number, so that each end knows what the other must see: every byte that is sent arrives, both ways, and no more.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import tempfile
import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from mitmproxy.certs import CertStore
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect as connect_socket
from websockets.sync.server import ServerConnection, serve

from aitap.storage.checks import problems
from aitap.storage.database import open_database, rows_of
from bench.fuzz.attack import planned
from bench.fuzz.mutations import disordered, json_damaged, split
from bench.fuzz.samples import SAMPLES, SECRET
from bench.fuzz.subject import Finding
from bench.fuzz.talks import TALKS
from tests.proxy.client import Http2Client, connect
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Reply, Request, Upstream, self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["attack_wire"]

_THREADS = 4
_SOCKETS = 0.1
_BROKEN = 0.08
_KEPT = 40
"""So many exchanges go over one connection at most."""
_SAMPLES = [sample for sample in SAMPLES if not sample.host.endswith("llm.example")]
"""Hosts in no table are not decrypted."""
_NUMBER = "x-request-id"
_OURS = re.compile(rb"the traffic is not affected|cannot be handed over|Traceback")
"""What a proxy says that made a mistake."""
_PATIENCE = 60.0


class _Told(threading.local):
    """What this thread's connections are."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[http.client.HTTPSConnection, int]] = {}


class _Wire:
    """Two proxies on one database: one before a provider of HTTP, one before one of WebSockets."""

    def __init__(self, folder: Path, seed: int, stack: contextlib.ExitStack) -> None:
        self.seed = seed
        self.findings: list[Finding] = []
        self._told = _Told()
        confdir = folder / "confdir"
        confdir.mkdir()
        CertStore.create_store(confdir, "mitmproxy", 2048)
        self._upstream = Upstream(folder)
        stack.callback(self._upstream.close)
        self._upstream.serve(self._answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(folder))
        sockets = serve(self._converse, "127.0.0.1", 0, ssl=context, max_size=None)
        stack.callback(sockets.shutdown)
        threading.Thread(target=sockets.serve_forever, daemon=True).start()

        class Provider:
            port: int = sockets.socket.getsockname()[1]

        self.proxy = Mitmdump(folder, confdir, self._upstream)
        stack.callback(self.proxy.stop)
        (folder / "sockets").mkdir()
        url = self.proxy.database_url
        self.sockets = Mitmdump(folder / "sockets", confdir, Provider(), database_url=url)
        stack.callback(self.sockets.stop)

    def found(self, number: int, what: str) -> None:
        """Something that must not be."""
        self.findings.append(Finding(number, what[:600]))

    # HTTP

    def _plan(self, number: int) -> tuple[str, str, bytes, int, dict[str, str], list[bytes], str]:
        """Host, path, body, status, the answer's fields, its pieces, and how they are framed."""
        dice = Random(self.seed * 1_000_003 + number)
        sample = dice.choice(_SAMPLES)
        body, fields, pieces = planned(dice, sample)
        path = sample.path + (f"?{sample.query}" if sample.query else "")
        status = dice.choice((200, 200, 200, 200, 206, 400, 429, 503, 529))
        framed = dice.choice(("chunked", "chunked", "length", "broken" if dice.random() < 4 * _BROKEN else "chunked"))
        return sample.host.replace("*", "eu-1"), path, body, status, fields, pieces, framed

    def _answer(self, request: Request, reply: Reply) -> None:
        number = int(request.headers.get(_NUMBER, -1))
        if number < 0:
            return
        _, _, body, status, fields, pieces, framed = self._plan(number)
        if request.body != body:
            self.found(number, f"{len(body)} bytes were asked, {len(request.body)} came")
        reply.head(status, fields, length=sum(map(len, pieces)) if framed == "length" else None)
        for piece in pieces[: -1 if framed == "broken" else None]:
            if piece:
                reply.send(piece)
        if framed == "broken":
            reply.reset()
        else:
            reply.end()

    def exchange(self, number: int) -> None:
        """One over HTTP."""
        host, path, body, status, _, pieces, framed = self._plan(number)
        dice = Random(number)
        fields = {"content-type": "application/json", "authorization": f"Bearer {SECRET}", _NUMBER: str(number)}
        if dice.random() < 0.3 and len(body) < 16_000:
            came, data = self._second(host, path, body, fields)
        else:
            came, data = self._first(host, path, body, fields, chunked=dice.random() < 0.3)
        whole = b"".join(pieces)
        if framed != "broken" and (came, data) != (status, whole):
            self.found(number, f"{framed}: {status} with {len(whole)} bytes was sent, {came} with {len(data)} came")
        if framed == "broken" and came == status and not whole.startswith(data):
            self.found(number, "what came of a broken answer was never sent")

    def _first(self, host: str, path: str, body: bytes, fields: dict[str, str], *, chunked: bool) -> tuple[int, bytes]:
        connection, used = self._told.kept.pop(host, (None, 0))
        connection = connection or connect(self.proxy, host)
        pieces: Any = iter(split(Random(len(body)), body)) if chunked else body
        try:
            connection.request("POST", path, pieces, fields, encode_chunked=chunked)
            answer = connection.getresponse()
            try:
                data = answer.read()
            except http.client.IncompleteRead as error:
                data, used = error.partial, _KEPT
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0, b""
        if used < _KEPT and not answer.will_close:
            self._told.kept[host] = connection, used + 1
        else:
            connection.close()
        return answer.status, data

    def _second(self, host: str, path: str, body: bytes, fields: dict[str, str]) -> tuple[int, bytes]:
        client = Http2Client(self.proxy, host)
        try:
            stream = client.post(path, body, **fields)
            client.until(lambda found: stream in found.ended)
            return int(client.heads.get(stream, {}).get(":status", 0)), client.bodies[stream]
        finally:
            client.close()

    # WebSockets

    def _script(self, number: int) -> tuple[Any, list[tuple[bool, str | bytes]]]:
        """The talk, and who says what."""
        dice = Random(self.seed * 1_000_003 + number)
        talk = dice.choice(TALKS)
        said = [(True, message) for message in talk.opening]
        for _ in range(dice.choice((1, 2, 5))):
            asked, answered = dice.choice(talk.turns)
            said += [(True, json_damaged(dice, message) if dice.random() < 0.3 else message) for message in asked]
            said += [(False, message) for message in disordered(dice, answered)]
        return talk, [(mine, text if dice.random() < 0.1 else text.decode("utf-8", "replace")) for mine, text in said]

    def _converse(self, connection: ServerConnection) -> None:
        number = int(connection.request.headers.get(_NUMBER, -1)) if connection.request is not None else -1
        if number >= 0:
            self._say(number, connection, self._script(number)[1], client=False)

    def _say(self, number: int, connection: Any, script: list[tuple[bool, str | bytes]], *, client: bool) -> None:
        dice = Random(number + client)
        with contextlib.suppress(ConnectionClosed):
            for by_client, text in script:
                if by_client == client:
                    cut = dice.randrange(len(text) + 1)
                    connection.send([text[:cut], text[cut:]] if dice.random() < 0.3 else text)
                elif (came := connection.recv(_PATIENCE)) != text:
                    self.found(number, f"a message of {len(text)} was said, {len(came)} came")
            if client:
                return
            connection.recv(_PATIENCE)

    def socket(self, number: int) -> None:
        """One WebSocket."""
        talk, script = self._script(number)
        fields = {"authorization": f"Bearer {SECRET}", _NUMBER: str(number)}
        query = f"?{talk.query}" if talk.query else ""
        with connect_socket(
            f"wss://{talk.host}{talk.path}{query}",
            ssl=self.sockets.trust(two_threads=True),
            proxy=self.sockets.url,
            additional_headers=fields,
            open_timeout=_PATIENCE,
            max_size=None,
        ) as connection:
            self._say(number, connection, script, client=True)

    # All of it

    def run(self, numbers: range, part: int) -> None:
        """Every fourth exchange, say."""
        for number in numbers[part::_THREADS]:
            try:
                (self.socket if Random(number).random() < _SOCKETS else self.exchange)(number)
            except (OSError, WebSocketException, AssertionError, http.client.HTTPException, TimeoutError) as error:
                self.found(number, f"the client broke: {error!r}")


def attack_wire(seed: int, numbers: range) -> tuple[list[Finding], int]:
    """Attack a proxy with these exchanges; what was found, and how many records there are."""
    with tempfile.TemporaryDirectory(prefix="aitap-fuzz-", ignore_cleanup_errors=True) as folder:
        with contextlib.ExitStack() as stack:
            wire = _Wire(Path(folder), seed, stack)
            threads = [threading.Thread(target=wire.run, args=(numbers, part)) for part in range(_THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            logs = b"".join(proxy.log.read_bytes() for proxy in (wire.proxy, wire.sockets))
            url = wire.proxy.database_url
        last = numbers.stop - 1
        for said in list(_mistakes(logs))[:5]:
            wire.found(last, said)
        database = open_database(url, read_only=True)
        try:
            [(count, still)] = rows_of(
                database, "SELECT count(*), count(*) - count(ended_at) FROM aibridge_interceptions"
            )
            findings = [*wire.findings, *(Finding(last, what) for what in problems(database))]
        finally:
            database.close()
        return findings + ([Finding(last, f"{still} rows without an end")] if still else []), int(count)


def _mistakes(log: bytes) -> Iterator[str]:
    for match in _OURS.finditer(log):
        yield f"a proxy says: {log[max(0, match.start() - 200) : match.end() + 1200].decode(errors='replace')}"
