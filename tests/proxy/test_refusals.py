"""Clients that do not trust our certificate, against a real mitmdump: noticed, told of, and helped by ``observe``."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable

import pytest

from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.raw import host_listed, hosts_of, open_tunnel, trusting
from tests.proxy.upstream import Upstream

NODE = shutil.which("node")
CURL = shutil.which("curl")


def pinning(server: Upstream, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that trusts the server's own certificate and no other."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    context.check_hostname = False
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_pins_is_counted_told_of_once_and_gets_through_once_its_host_is_observed(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, version: ssl.TLSVersion
) -> None:
    proxy = start_proxy()
    context = pinning(upstream, version)
    for _ in range(3):
        with open_tunnel(proxy, "api.openai.com") as tunnel, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(tunnel, server_hostname="api.openai.com")
    row = host_listed(proxy, "api.openai.com", "decrypted", refusals=3)
    assert (row["error"], row["provider_name"], row["connections"]) == ("unknown ca", "openai", 0)
    hints = [line for line in proxy.said().splitlines() if "aitap hosts observe api.openai.com" in line]
    assert len(hints) == 1
    assert "127.0.0.1" in hints[0]
    assert aitap("hosts", "observe", "api.openai.com", "--database-url", proxy.database_url).returncode == 0

    def gets_through() -> bool:
        with open_tunnel(proxy, "api.openai.com") as tunnel:
            try:
                connection = context.wrap_socket(tunnel, server_hostname="api.openai.com")
            except ssl.SSLError:
                return False
            connection.sendall(b"GET / HTTP/1.1\r\nhost: api.openai.com\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 404")

    until(gets_through, "the client to reach the server that it trusts")
    host_listed(proxy, "api.openai.com", "observed", connections=1)


@pytest.mark.skipif(CURL is None, reason="no curl here")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_with_another_ca_is_counted(proxy: Mitmdump, upstream: Upstream, version: str) -> None:
    host = f"curl{version.replace('.', '-')}.githubcopilot.com"
    options = ["--proxy", proxy.url, "--cacert", str(upstream.certificate), "--tls-max", version]
    asked = subprocess.run([str(CURL), "-sS", *options, f"https://{host}/"], capture_output=True, check=False)
    assert asked.returncode == 60, asked.stderr
    assert host_listed(proxy, host, "decrypted", refusals=1)["error"] == "unknown ca"


_NODE = """
const http = require('http'), tls = require('tls');
const [host, port] = process.argv.slice(1);
http.request({port, method: 'CONNECT', path: host + ':443'}).on('connect', (_, socket) => {
  tls.connect({socket, servername: host}).on('error', error => console.log(error.code));
}).end();
"""


@pytest.mark.skipif(NODE is None, reason="no Node here")
@pytest.mark.parametrize(
    ("version", "said"), [("1.2", "closed right after the handshake"), ("1.3", "closed in the handshake")]
)
def test_node_which_sends_no_alert_is_counted(proxy: Mitmdump, upstream: Upstream, version: str, said: str) -> None:
    host = f"node{version.replace('.', '-')}.githubcopilot.com"
    command = [str(NODE), f"--tls-max-v{version}", "-e", _NODE, "--", host, str(proxy.port)]
    asked = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert b"VERIFY" in asked.stdout or b"CERT" in asked.stdout, asked
    assert host_listed(proxy, host, "decrypted", refusals=1)["error"] == said


def test_who_leaves_for_another_reason_is_no_refusal(proxy: Mitmdump, upstream: Upstream) -> None:
    def name(number: int) -> str:
        return f"left{number}.githubcopilot.com"

    open_tunnel(proxy, name(1)).close()
    with open_tunnel(proxy, name(2)) as tunnel:
        tunnel.sendall(b"\x16\x03\x01\x02\x00\x01")
    with open_tunnel(proxy, name(3)) as tunnel:
        tunnel.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    with open_tunnel(proxy, name(4)) as tunnel:
        connection = trusting().wrap_socket(tunnel, server_hostname=name(4))
        with contextlib.suppress(OSError):
            connection.unwrap()
        connection.close()
    with open_tunnel(proxy, name(5)) as tunnel:
        connection = trusting().wrap_socket(tunnel, server_hostname=name(5))
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.close()
    with open_tunnel(proxy, name(6)) as tunnel:
        context = trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ADH-AES128-SHA256:@SECLEVEL=0")
        with pytest.raises(OSError, match=r"HANDSHAKE_FAILURE|EOF"):
            context.wrap_socket(tunnel, server_hostname=name(6))
    with socket.create_connection(("127.0.0.1", proxy.port)) as scanner:
        scanner.sendall(b"\x16\x03\x01\x00\x05hello")
    with open_tunnel(proxy, "last.githubcopilot.com") as tunnel, pytest.raises(ssl.SSLCertVerificationError):
        pinning(upstream, ssl.TLSVersion.TLSv1_3).wrap_socket(tunnel, server_hostname="last.githubcopilot.com")
    host_listed(proxy, "last.githubcopilot.com", "decrypted", refusals=1)
    assert not [host for host, mode in hosts_of(proxy) if host.startswith("left") and mode == "decrypted"]
