"""``aitap doctor`` against a real proxy: what is wrong is found, and nothing is sent to a provider."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkup.making import DAY, NOW, make_ca
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.upstream import Upstream

Findings = dict[str, dict[str, Any]]


def look(proxy: Mitmdump, *arguments: str, confdir: Path | None = None, **environ: str) -> Findings:
    """What was found, the worst of each check."""
    options = ["--confdir", str(confdir or proxy.confdir), "--database-url", proxy.database_url]
    done = aitap("doctor", *arguments, *options, **environ)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    order = ("ok", "warning", "problem")
    worst = max(found["findings"], key=lambda one: order.index(one["status"]))["status"]
    assert (found["status"], done.returncode) == (worst, int(worst == "problem"))
    found["findings"].sort(key=lambda one: order.index(one["status"]))
    return {one["check"]: one for one in found["findings"]}


@pytest.fixture
def environ(proxy: Mitmdump) -> dict[str, str]:
    """The variables that `aitap env` gives for the proxy."""
    done = aitap("env", "--shell", "dotenv", "--proxy", proxy.url, "--confdir", str(proxy.confdir))
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_a_proxy_that_works_and_a_shell_that_uses_it_have_no_problem(
    proxy: Mitmdump, upstream: Upstream, environ: dict[str, str]
) -> None:
    until(lambda: look(proxy, **environ)["database.proxy"]["status"] == "ok", "the proxy's run")
    found = look(proxy, **environ)
    assert [one for one in found.values() if one["status"] == "problem"] == []
    for check in ("proxy.answers", "proxy.key", "proxy.tls", "ca.expiry", "ca.key", "shell.proxy", "shell.ca"):
        assert found[check]["status"] == "ok", found[check]
    assert found["proxy.answers"]["what"] == f"a proxy answers at 127.0.0.1:{proxy.port} (HTTPS_PROXY)"
    assert upstream.exchanges == []


def test_looking_is_not_taken_for_a_client_that_refuses_the_certificate(start_proxy: Callable[..., Mitmdump]) -> None:
    proxy = start_proxy()
    assert look(proxy, "--proxy", proxy.url)["proxy.tls"]["status"] == "ok"
    proxy.stop()  # what was seen is stored by now
    listed = aitap("hosts", "--database-url", proxy.database_url)
    assert json.loads(listed.stdout) == []


def test_a_proxy_that_is_spoken_to_by_tls_is_looked_at_too(proxy: Mitmdump) -> None:
    found = look(proxy, "--proxy", proxy.url.replace("http:", "https:"))
    assert (found["proxy.answers"]["status"], found["proxy.tls"]["status"]) == ("ok", "ok")


def test_another_ca_than_the_proxys_is_found(proxy: Mitmdump, tmp_path: Path) -> None:
    make_ca(tmp_path)
    found = look(proxy, "--proxy", proxy.url, confdir=tmp_path)
    assert found["proxy.tls"]["status"] == "problem"
    assert found["proxy.tls"]["what"].startswith("the proxy signs with another CA than")
    assert "start it again" in found["proxy.tls"]["fix"]


def test_a_ca_that_expired_is_found_here_and_on_the_wire(tmp_path: Path, upstream: Upstream) -> None:
    confdir = tmp_path / "conf"
    make_ca(confdir, NOW - 400 * DAY, NOW - DAY)
    expired = Mitmdump(tmp_path, confdir, upstream)
    try:
        found = look(expired, "--proxy", expired.url)
    finally:
        expired.stop()
    assert found["ca.expiry"]["status"] == "problem"
    assert "aitap ca renew" in found["ca.expiry"]["fix"]
    assert found["proxy.tls"]["status"] == "problem"
    assert "out of date" in found["proxy.tls"]["what"]


def test_a_variable_that_is_stale_is_found(proxy: Mitmdump, environ: dict[str, str]) -> None:
    stale = environ | {"https_proxy": "http://127.0.0.1:9", "SSL_CERT_FILE": "/no/such/bundle.pem"}
    found = look(proxy, "--proxy", proxy.url, **stale)
    assert found["shell.proxy"]["status"] == found["shell.ca"]["status"] == "problem"
    assert found["proxy.tls"]["status"] == "ok"


def test_a_proxy_that_decrypts_nothing_is_told_from_one_with_another_ca(
    start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITAP_DECRYPT", "observe")
    proxy = start_proxy()
    found = look(proxy, "--proxy", proxy.url)["proxy.tls"]
    assert (found["status"], found["what"].partition(":")[0]) == (
        "warning",
        "api.anthropic.com is not decrypted by this proxy",
    )


@pytest.fixture
def guarded(start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch) -> Mitmdump:
    """A proxy that wants keys."""
    monkeypatch.setenv("AITAP_AUTH", "required")
    return start_proxy()


def key_of(proxy: Mitmdump, name: str) -> str:
    done = aitap("keys", "create", "--user", name, "--create-user", "--database-url", proxy.database_url, "--json")
    assert done.returncode == 0, done.stderr
    key: str = json.loads(done.stdout)["key"]
    return key


def test_no_key_a_wrong_key_and_the_right_one_are_told_apart(guarded: Mitmdump) -> None:
    place = f"127.0.0.1:{guarded.port}"
    for keyless in (place, f"http://alice@{place}"):
        found = look(guarded, "--proxy", keyless)["proxy.key"]
        assert found["what"] == "it wants a key, and none is in the address"
    wrong = look(guarded, AITAP_PROXY=f"http://alice:aitap_wrong@{place}")["proxy.key"]
    assert (wrong["status"], wrong["what"]) == ("problem", "it refuses the key of alice: wrong, expired or revoked")
    key = key_of(guarded, "alice")

    def taken() -> bool:
        found = look(guarded, AITAP_PROXY=f"http://alice:{key}@{place}")
        assert key not in json.dumps(found)
        return found["proxy.key"]["what"] == "it takes the key of alice" and found["proxy.tls"]["status"] == "ok"

    until(taken, "the new key in force")


def test_the_ca_of_a_proxy_elsewhere_is_fetched_with_the_key(guarded: Mitmdump, tmp_path: Path) -> None:
    place, key = f"127.0.0.1:{guarded.port}", key_of(guarded, "bob")
    file = tmp_path / "fetched.pem"
    refused = aitap("ca", "fetch", f"http://{place}", "-o", str(file))
    assert (refused.returncode, file.exists()) == (1, False)
    assert "wants a key" in refused.stderr

    def fetched() -> bool:
        return aitap("ca", "fetch", "-o", str(file), AITAP_PROXY=f"http://bob:{key}@{place}").returncode == 0

    until(fetched, "the CA for the new key")
    assert b"PRIVATE" not in file.read_bytes()
    assert file.read_bytes().strip() == guarded.certificate.read_bytes().strip()
    fingerprint = json.loads(aitap("ca", "show", "--confdir", str(guarded.confdir), "--json").stdout)["sha256"]
    again = aitap("ca", "fetch", f"http://bob:{key}@{place}", "-o", str(file), "--fingerprint", fingerprint)
    assert again.returncode == 0, again.stderr
    other = aitap("ca", "fetch", f"http://bob:{key}@{place}", "-o", str(file), "--fingerprint", "00" * 32)
    assert (other.returncode, "nothing was kept" in other.stderr) == (1, True)
    assert look(guarded, "--ca", str(file), AITAP_PROXY=f"http://bob:{key}@{place}")["proxy.tls"]["status"] == "ok"


def test_a_proxy_open_to_the_network_without_keys_is_found(
    start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (address := _own_address()):
        pytest.skip("this machine has no address but loopback")
    monkeypatch.setenv("AITAP_AUTH", "none")
    proxy = start_proxy(arguments=("--mode", "regular@127.0.0.1:0", "--mode", f"regular@{address}:0"))
    port = until(lambda: _port_at(proxy, address), "the second listener")
    found = look(proxy, "--proxy", f"http://{address}:{port}", "--confdir", str(proxy.confdir))
    assert found["proxy.open"]["status"] == "problem"
    assert "AITAP_AUTH=required" in found["proxy.open"]["fix"]


def _own_address() -> str | None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return None if address.startswith("127.") else address
    return None


def _port_at(proxy: Mitmdump, address: str) -> int | None:
    for line in proxy.said().splitlines():
        if f"listening at {address}:" in line:
            return int(line.rpartition(f"{address}:")[2].split()[0].rstrip("."))
    return None


def test_a_client_that_refuses_our_certificate_is_found_with_what_to_do(start_proxy: Callable[..., Mitmdump]) -> None:
    proxy = start_proxy()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", proxy.port), 60) as plain:
            plain.sendall(b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com:443\r\n\r\n")
            assert b" 200 " in plain.recv(65536)
            with pytest.raises(ssl.SSLCertVerificationError):
                # The system's roots: it pins, as far as the proxy is concerned.
                ssl.create_default_context().wrap_socket(plain, server_hostname="api.anthropic.com")

    def told() -> dict[str, Any] | None:
        return look(proxy, "--proxy", proxy.url).get("hosts.refused")

    found = until(told, "the refusal in the database")
    assert found["status"] == "warning"
    assert "api.anthropic.com" in found["what"]
    assert "aitap hosts observe api.anthropic.com" in found["fix"]
