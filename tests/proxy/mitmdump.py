"""A real mitmdump in a process of its own, with the addon of this checkout, and the records it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from aitap.storage.database import StorageError, open_database
from aitap.storage.models import MODELS
from aitap.storage.queries import Filter, iter_interceptions
from tests.forked import Forked, aitap, can_fork

__all__ = ["CHECKOUT", "Mitmdump", "aitap", "until"]

CHECKOUT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent
AITAP = [sys.executable, "-c", "from aitap.export.cli import main; main()"]

T = TypeVar("T")


def until(probe: Callable[[], T], what: str, timeout: float = 60.0) -> T:
    """The first true value the probe gives; an ``AssertionError`` that says what was awaited where none comes."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.01)
    return value


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class HasPort(Protocol):
    """Whatever listens on loopback and stands for the Internet."""

    port: int


class Mitmdump:
    """The proxy in a process of its own, on a free port; several may be started on one folder, that is one database.

    ``command`` is how it is started, with ``options`` of ``aitap run``; ``scripts`` are ours to load beside the addon,
    ``arguments`` go to mitmdump.
    ``network`` is the script that stands for the Internet, ``verify`` has certificates of servers checked. Records go
    to ``aitap.db`` in the folder unless ``database_url`` says otherwise. ``visible`` gives it a command line of its
    own, which others can see.
    """

    def __init__(
        self,
        folder: Path,
        confdir: Path,
        upstream: HasPort,
        *scripts: str,
        command: Literal["mitmdump -s addon", "aitap run"] = "mitmdump -s addon",
        options: tuple[str, ...] = (),
        arguments: tuple[str, ...] = (),
        network: str = "network.py",
        verify: bool = False,
        visible: bool = False,
        database_url: str = "",
    ) -> None:
        self.folder = folder
        self.confdir = confdir
        self.database = folder / "aitap.db"
        self.database_url = database_url or f"sqlite:///{self.database}"
        self.log = folder / "mitmdump.log"
        self.certificate = confdir / "mitmproxy-ca-cert.pem"
        self._seen: set[str] = set()
        self._database: Any = None
        if command == "aitap run":
            start = [*AITAP, "run", "--port", str(_free_port()), "--confdir", confdir, *options, "--"]
        else:
            start = [Path(sys.executable).with_name("mitmdump"), "-s", "addon", "--set", f"confdir={confdir}"]
            start += ["--listen-host", "127.0.0.1", "--listen-port", "0"]
        loaded = [word for name in (network, *scripts) for word in ("-s", SCRIPTS / name)]
        usual = [] if verify else ["--set", "ssl_insecure=true"]
        if not any(argument.startswith("connection_strategy=") for argument in arguments):  # may be set only once
            usual += ["--set", "connection_strategy=lazy"]
        own = {
            "AITAP_DATABASE_URL": self.database_url,
            "TEST_UPSTREAM_PORT": str(upstream.port),
            # Ours tells what happens when it happens, without help.
            "PYTHONUNBUFFERED": "" if command == "aitap run" else "1",
        }
        if network == "network.py":
            # Loopback answers for the whole Internet.
            own["AITAP_ALLOW_PRIVATE"] = os.environ.get("AITAP_ALLOW_PRIVATE", "all")
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            words = [*start, *loaded, *usual, *arguments]
            self.process: subprocess.Popen[bytes] | Forked
            if can_fork and not visible and command == "mitmdump -s addon":
                with Path(os.devnull).open("rb") as nothing:
                    files = (nothing.fileno(), log.fileno(), log.fileno())
                    self.process = Forked("mitmdump", words, CHECKOUT, os.environ | own, files)
            else:
                self.process = subprocess.Popen(
                    words,
                    cwd=CHECKOUT,
                    env=os.environ | own,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        try:
            self.port = int(until(self._listening, "a proxy that listens and records")[1])
        except BaseException:
            self.process.kill()
            raise

    def said(self) -> str:
        """What this process has printed so far."""
        return self.log.read_bytes()[self._log_start :].decode()

    def _listening(self) -> re.Match[str] | None:
        assert self.process.poll() is None, f"the proxy ended with {self.process.returncode}:\n{self.said()}"
        recording = "aitap: recording to" in self.said()
        return re.search(r"proxy.* listening at 127\.0\.0\.1:(\d+)", self.said()) if recording else None

    @property
    def url(self) -> str:
        """What goes into ``HTTPS_PROXY``."""
        return f"http://127.0.0.1:{self.port}"

    def trust(self, *, two_threads: bool = False) -> ssl.SSLContext:
        """A client's TLS context that trusts this proxy's CA and no other.

        ``two_threads`` is for a client that reads in one thread while another writes: what it writes is lost, once in
        some hundred times, when a session ticket of TLS 1.3 comes in at that moment (with plain mitmdump as well).
        """
        context = ssl.create_default_context(cafile=str(self.certificate))
        if two_threads:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def children(self, parent: int = 0) -> list[int]:
        """Process ids of what the proxy, or another ``parent``, has started and still runs."""
        table = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
        ).stdout
        rows = (line.split() for line in table.splitlines())
        wanted = parent or self.process.pid
        return [int(pid) for pid, parent_of, state in rows if int(parent_of) == wanted and state[0] != "Z"]

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, timeout: float = 60.0) -> int:
        """Send a signal and wait for the end; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"mitmdump still ran {timeout} s after {with_signal.name}") from None
        finally:
            if self._database is not None:
                self._database.close()
                self._database = None

    def all_records(self) -> list[dict[str, Any]]:
        """Every record there is now, oldest first, as the query layer gives it."""
        if self._database is None:
            with contextlib.suppress(StorageError):
                self._database = open_database(self.database_url, read_only=True)
        if self._database is None:
            return []
        self._database.bind(MODELS, bind_refs=False, bind_backrefs=False)  # another may have been opened since
        return list(iter_interceptions(self._database, Filter()))

    def forget(self) -> None:
        """Leave the records there are now out of :meth:`records`."""
        self._seen = {record["id"] for record in self.all_records()}

    def records(self, count: int, **having: Any) -> list[dict[str, Any]]:
        """The next so many ended records with these values, oldest first, each given once."""

        def found() -> list[dict[str, Any]] | None:
            rows = [row for row in self.all_records() if row["id"] not in self._seen and row["ended_at"] is not None]
            rows = [row for row in rows if all(row[name] == value for name, value in having.items())]
            return rows if len(rows) >= count else None

        rows = until(found, f"{count} ended records {having or ''}")
        assert len(rows) == count, f"{len(rows)} records instead of {count}: {json.dumps(rows, indent=1)}"
        self._seen.update(row["id"] for row in rows)
        return rows

    def record(self, **having: Any) -> dict[str, Any]:
        """The next ended record, which must be the only one."""
        return self.records(1, **having)[0]
