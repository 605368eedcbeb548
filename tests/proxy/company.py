"""A company's proxy: the only way out, with a password and, where it inspects TLS, a CA of its own."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.proxy.raw import Listener

__all__ = ["CompanyCA", "CompanyProxy"]


class CompanyCA:
    """Signs for whatever host it is asked; ``path`` is what its clients must trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "company inspection")])
        self._certificate = self._made(
            self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0)
        )
        self.path = folder / "company-ca.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str) -> ssl.SSLContext:
        """What a server of this name speaks TLS with."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        leaf = self._made(x509.Name([]), key.public_key(), x509.SubjectAlternativeName([name]))
        path = self._folder / f"{host.replace(':', '_')}.pem"
        pem = serialization.Encoding.PEM
        path.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + leaf.public_bytes(pem)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _made(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
        )
        return builder.sign(self._key, hashes.SHA256())


class CompanyProxy:
    """``asked`` are the first lines that came with the password, ``refused`` those without.

    Tunnels lead to ``behind``, a port on loopback; with ``inspect`` it answers in its place, as a plain request.
    """

    def __init__(
        self,
        behind: int,
        *,
        password: str = "",
        ca: CompanyCA | None = None,
        inspect: bool = False,
        tls: bool = False,
        says: bytes = b"",
    ) -> None:
        self.asked: list[str] = []
        self.refused: list[str] = []
        self._behind = behind
        self._wanted = "basic " + base64.b64encode(password.encode()).decode() if password else ""
        self._ca = ca
        self._inspect = inspect
        self._says = says
        self._context = ca.context("127.0.0.1") if tls and ca else None
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection:
            while head := _head(connection):
                line, _, fields = head.partition("\r\n")
                given = [field for field in fields.split("\r\n") if field.lower().startswith("proxy-authorization:")]
                if self._wanted and (not given or given[0].partition(": ")[2].lower() != self._wanted.lower()):
                    self.refused.append(line)
                    connection.sendall(
                        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=company\r\n"
                        b"content-length: 0\r\n\r\n"
                    )
                    return
                self.asked.append(line)
                if self._says:
                    connection.sendall(self._says)
                    return
                if line.startswith("CONNECT "):
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    self._tunnel(connection, line.split()[1].rpartition(":")[0])
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain")

    def _tunnel(self, connection: socket.socket, host: str) -> None:
        if self._inspect and self._ca is not None:
            with self._ca.context(host).wrap_socket(connection, server_side=True) as inner:
                while _head(inner):
                    inner.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ninspected")
            return
        with socket.create_connection(("127.0.0.1", self._behind)) as far:
            back = threading.Thread(target=_copy, args=(far, connection), daemon=True)
            back.start()
            _copy(connection, far)
            back.join()


def _head(connection: socket.socket) -> str:
    found = b""
    while not found.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            return ""
        found += piece
    return found.decode("latin-1").removesuffix("\r\n\r\n")


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
