"""The mitmdump processes under test, their certificates, and what they stored."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mitmproxy.certs import CertStore

from bench import litellm, machine
from bench.cases import HOST

__all__ = ["BenchError", "Proxy", "Variant", "authority", "certificate", "gateway", "stored", "variants"]

HERE = Path(__file__).parent
PLAIN = "plain"


class BenchError(Exception):
    """The bench cannot go on, or what it measured cannot be trusted. The text is one line."""


@dataclass(frozen=True)
class Variant:
    """A way to run mitmdump: the one script that differs, and the environment it needs."""

    name: str
    script: Path
    database: Path | None = None
    environment: tuple[tuple[str, str], ...] = ()
    workers: int = 0
    """Start ``aitap run`` with so many workers instead of a mitmdump."""
    gateway: Path | None = None
    """Start LiteLLM's proxy by this command instead of a mitmdump."""


def variants(
    addon: Path, folder: Path, *, control: bool = False, collector: int | None = None
) -> tuple[Variant, Variant]:
    """What is compared: plain mitmdump, and the addon (or, as a control, plain mitmdump again).

    With a ``collector``, on that port, it is the addon that is compared, without and with traces that go there.
    """
    if collector is not None:
        tracing = {"AITAP_TRACE_ENABLE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector}"}
        return recording("untraced", addon, folder), recording("traced", addon, folder, **tracing)
    plain = Variant(PLAIN, HERE / "stream.py")
    if control:
        return plain, Variant("control", HERE / "stream.py")
    return plain, recording("aitap", addon, folder)


def gateway(program: Path) -> Variant:
    """LiteLLM's proxy, which writes down what it answers; see :mod:`bench.litellm`."""
    return Variant("litellm", Path(), gateway=program)


def recording(name: str, script: Path, folder: Path, **environment: str) -> Variant:
    """A variant that records into a database of its own in ``folder``."""
    database = folder / f"{name}.db"
    url = ("AITAP_DATABASE_URL", f"sqlite:///{database}")
    # The upstream that stands for every provider is on loopback, which is no place for clients to go.
    private = ("AITAP_ALLOW_PRIVATE", "all")
    return Variant(name, script, database, (url, private, *environment.items()))


def authority(folder: Path) -> Path:
    """Make the CA that both variants sign with; its certificate as a PEM file."""
    folder.mkdir(exist_ok=True)
    CertStore.from_store(folder, "mitmproxy", 2048)
    return folder / "mitmproxy-ca-cert.pem"


def certificate(file: Path) -> Path:
    """Make the upstream's self-signed certificate and key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return file


def _aitap_run(workers: int, port: int, folder: Path) -> list[str]:
    start = f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); from aitap.export.cli import main; main()"
    options = ["--port", str(port), "--confdir", str(folder / "ca"), "--workers", str(workers)]
    return [sys.executable, "-P", "-c", start, "run", *options, "--"]


def _mitmdump(port: int, folder: Path) -> list[str]:
    for name in ("mitmdump", "mitmdump.exe"):
        command = Path(sys.executable).with_name(name)
        if command.exists():
            listen = ["--listen-host", "127.0.0.1", "--listen-port", str(port)]
            return [str(command), *listen, "--set", f"confdir={folder / 'ca'}"]
    raise BenchError(f"there is no mitmdump beside {sys.executable}: run the bench with the project's environment")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Proxy:
    """A running mitmdump. Leaving the ``with`` block ends it as a user would: SIGTERM, then waiting."""

    def __init__(
        self, variant: Variant, folder: Path, upstream: int, cores: set[int] | None, others: set[int] | None = None
    ) -> None:
        """Start it; ``folder`` has the CA in ``ca``. :meth:`ready` waits until it listens.

        ``others`` is where the processes go that it starts itself.
        """
        self.variant = variant
        self.port = _free_port()
        self.said = folder / f"{variant.name}.log"
        usual = ["-q", "--set", "connection_strategy=lazy", "--set", "ssl_insecure=true"]
        usual += ["-s", str(HERE / "redirect.py")]
        command = _aitap_run(variant.workers, self.port, folder) if variant.workers else _mitmdump(self.port, folder)
        command += usual if variant.workers else [*usual, "-s", str(variant.script)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AITAP_")}
        environment |= {"BENCH_UPSTREAM": str(upstream), "XDG_CONFIG_HOME": str(folder), **dict(variant.environment)}
        if variant.gateway:
            litellm.prepare(folder, upstream)
            command, environment = litellm.command(variant.gateway, self.port), litellm.environment()
        with self.said.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to handle: the proxy must flush first
            )
        self.pid = self.process.pid
        machine.pin(self.pid, cores)
        self._others = others

    def __str__(self) -> str:
        return "LiteLLM's proxy" if self.variant.gateway else f"mitmdump ({self.variant.name})"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self, timeout: float = 30.0) -> Proxy:
        """Wait until it accepts connections; LiteLLM takes ten seconds of a core to come up."""
        deadline = time.monotonic() + timeout * (8 if self.variant.gateway else 1)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self._apart()
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{self} does not listen on port {self.port}")
            time.sleep(0.02)

    def _apart(self) -> Proxy:
        """Put the processes it has started on the other core: only the proxy's own core is what is compared."""
        deadline = time.monotonic() + 5
        while self.variant.database and not machine.children(self.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        for child in machine.children(self.pid):
            machine.pin(child, self._others)
        return self

    def check(self, patience: float = 0.0) -> None:
        """Raise :class:`BenchError` if it has ended, or does so within ``patience`` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        if self.process.poll() is not None:
            # mitmproxy's own last word on a script that fails is that something failed.
            said = [line.strip() for line in self.output().splitlines() if "during startup" not in line]
            last = said[-1] if said else "without a word"
            raise BenchError(f"{self} ended with status {self.process.returncode}: {last}")

    def stop(self, timeout: float = 30.0) -> None:
        """End it and wait until it has flushed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise BenchError(f"{self} did not end within {timeout:.0f} s of SIGTERM") from None

    def output(self) -> str:
        """What it and its forerunners of the same variant printed; with ``-q`` that is trouble."""
        return self.said.read_text(encoding="utf-8", errors="replace").strip()


def stored(database: Path) -> dict[str, int]:
    """What a stopped proxy left: all interceptions, those complete, and those with a token usage."""
    if not database.exists():
        raise BenchError(f"the proxy made no database at {database}")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            rows, complete = connection.execute(
                "SELECT count(*), coalesce(sum(outcome = 'completed'), 0) FROM aibridge_interceptions"
            ).fetchone()
            (usages,) = connection.execute(
                "SELECT count(DISTINCT interception_id) FROM aibridge_token_usages"
            ).fetchone()
        except sqlite3.DatabaseError as error:
            raise BenchError(f"the proxy's database cannot be read: {error}") from None
    return {"rows": rows, "complete": complete, "with_usage": usages}
