"""A real proxy under our CA: what it signs is accepted, and renewals reach it while it runs."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mitmproxy.certs import CertStore

from aitap.certs.authority import ROOT, SIGNING, ensure_authority
from aitap.certs.confdir import write_key
from aitap.certs.issue import make_intermediate
from aitap.certs.own_ca import create, renew, signing_chain
from aitap.certs.permitted import Permitted, decrypted_hosts, permitted_names
from tests.certs.chains import signer_of
from tests.certs.tls_clients import CLIENTS, Client
from tests.proxy.client import ANTHROPIC, OPENAI, connect
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.upstream import Upstream, answer

Start = Callable[..., Mitmdump]
BUILT_IN = permitted_names(decrypted_hosts())


@pytest.fixture
def confdir(tmp_path: Path) -> Path:
    """Our own CA, made as on first use."""
    folder = tmp_path / "conf"
    ensure_authority(folder)
    return folder


def served(proxy: Mitmdump, host: str = ANTHROPIC) -> x509.Certificate:
    """The leaf that a client gets for a host; an ``ssl.SSLError`` where it is refused."""
    connection = connect(proxy, host)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        return x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"")
    finally:
        connection.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_what_the_proxy_signs_is_accepted_by_every_tls_stack(
    client: Client, confdir: Path, start_proxy: Start, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    modes = ("--mode", "regular", "--mode", f"reverse:https://{ANTHROPIC}@127.0.0.1:{port}")
    start_proxy(arguments=modes)
    accepted, said = client(port, ANTHROPIC, confdir / "mitmproxy-ca-cert.pem", tmp_path)
    assert accepted, said


def test_leaves_live_less_than_200_days(start_proxy: Start) -> None:
    leaf = served(start_proxy())
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=200)


def test_names_that_the_server_s_certificate_has_besides_do_not_spoil_the_leaf(
    start_proxy: Start, upstream: Upstream
) -> None:
    """With an eager connection mitmproxy copies the names of the server's certificate, here upstream.invalid."""
    proxy = start_proxy(arguments=("--set", "connection_strategy=eager"))
    names = served(proxy).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [ANTHROPIC]


def test_the_address_that_a_client_dialled_does_not_spoil_the_leaf(start_proxy: Start) -> None:
    """Where only the handshake names the host, mitmproxy would add the address to the certificate."""
    proxy = start_proxy()
    with socket.create_connection(("127.0.0.1", proxy.port), 60) as plain:
        plain.sendall(b"CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\r\n")
        assert plain.recv(65536).startswith(b"HTTP/1.1 200")
        with proxy.trust().wrap_socket(plain, server_hostname=ANTHROPIC) as connection:
            assert connection.getpeercert()["subjectAltName"] == (("DNS", ANTHROPIC),)  # type: ignore[index]


def test_a_renewal_by_hand_is_in_force_at_the_next_connection(confdir: Path, start_proxy: Start) -> None:
    proxy = start_proxy()
    before = served(proxy)
    done = aitap("ca", "renew", "--confdir", str(confdir), AITAP_DATABASE_URL=proxy.database_url)
    assert done.returncode == 0, done.stderr
    after = served(proxy)
    assert after.issuer == signer_of(confdir).certificate.subject != before.issuer
    assert "Traceback" not in proxy.said()


def test_a_proxy_that_starts_renews_what_soon_expires(confdir: Path, start_proxy: Start) -> None:
    trusted = (confdir / "mitmproxy-ca-cert.pem").read_bytes()
    old = expire_in(confdir, days=59)
    proxy = start_proxy()
    assert "aitap: the CA was renewed, for it is valid for 58 more days" in proxy.said()
    assert served(proxy).issuer == signer_of(confdir).certificate.subject != old.subject
    assert (confdir / "mitmproxy-ca-cert.pem").read_bytes() == trusted


def expire_in(confdir: Path, days: int) -> x509.Certificate:
    """Put an intermediate into the folder that has so many days left."""
    text = (confdir / ROOT).read_bytes()
    root = x509.load_pem_x509_certificate(text)
    made = datetime.now(UTC) - timedelta(days=365 - days)
    key, old = make_intermediate(load_pem_private_key(text, None), root, BUILT_IN, made)  # type: ignore[arg-type]
    write_key(confdir / SIGNING, key, [old, root])
    return old


def test_a_proxy_without_the_root_s_key_goes_on_and_says_to_bring_it(confdir: Path, start_proxy: Start) -> None:
    old = expire_in(confdir, days=59)
    (confdir / ROOT).unlink()
    proxy = start_proxy()
    assert "put it back, or name it with --root" in proxy.said()
    assert served(proxy).issuer == old.subject


def test_a_host_of_one_s_own_that_is_new_in_the_file_is_signed_for(
    start_proxy: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aitap.toml"
    file.write_text(
        '[[provider]]\nname = "ours"\ntype = "openai"\nhosts = ["llm.example.com"]\nroutes = "compatible"\n'
    )
    monkeypatch.setenv("AITAP_CONFIG", str(file))
    assert served(start_proxy(), "llm.example.com")


def test_a_host_that_is_to_be_decrypted_from_now_on_is_signed_for(confdir: Path, start_proxy: Start) -> None:
    proxy = start_proxy()
    done = aitap("hosts", "decrypt", "gateway.example.com", AITAP_DATABASE_URL=proxy.database_url)
    assert done.returncode == 0, done.stderr
    until(lambda: "aitap: the CA was renewed" in proxy.said(), "a renewal")
    assert served(proxy, "gateway.example.com")
    assert served(proxy, OPENAI).issuer == signing_chain(confdir)[0].subject


def test_a_file_that_is_broken_leaves_the_ca_in_use_as_it_was(confdir: Path, start_proxy: Start) -> None:
    proxy = start_proxy()
    before = served(proxy)
    (confdir / SIGNING).write_text("nonsense")
    assert served(proxy).issuer == before.issuer
    assert proxy.said().count("cannot be used, the CA stays as it was") == 1
    assert served(proxy).issuer == before.issuer
    assert proxy.said().count("cannot be used, the CA stays as it was") == 1


def test_decrypting_all_with_a_constrained_ca_is_said_to_fail(start_proxy: Start) -> None:
    proxy = start_proxy(arguments=("--set", "aitap_decrypt=all"))
    (line,) = [line for line in proxy.said().splitlines() if "decrypt = all" in line]
    assert "aitap ca init --unconstrained" in line
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        served(proxy, "example.com")


def test_decrypting_all_with_an_unconstrained_ca_works(confdir: Path, start_proxy: Start) -> None:
    renew(confdir, None)
    proxy = start_proxy(arguments=("--set", "aitap_decrypt=all"))
    assert "decrypt = all" not in proxy.said()
    assert served(proxy, "example.com")


def test_mitmproxy_s_own_ca_goes_on_being_used(confdir: Path, start_proxy: Start) -> None:
    for path in confdir.iterdir():
        path.unlink()
    CertStore.create_store(confdir, "mitmproxy", 2048)
    before = (confdir / SIGNING).read_bytes()
    leaf = served(start_proxy())
    assert leaf.issuer == signing_chain(confdir)[0].subject
    assert (confdir / SIGNING).read_bytes() == before
    assert not (confdir / ROOT).exists()


def test_aitap_run_makes_our_ca_on_a_machine_without_any(confdir: Path, start_proxy: Start, upstream: Upstream) -> None:
    for path in confdir.iterdir():
        path.unlink()
    proxy = start_proxy(command="aitap run")
    upstream.serve(answer(b"{}"))
    assert (confdir / ROOT).exists()
    assert served(proxy).issuer == signing_chain(confdir)[0].subject


def test_a_ca_for_other_hosts_is_replaced_under_the_same_root(confdir: Path, start_proxy: Start) -> None:
    create(confdir, Permitted(("chatgpt.com",), ()), replace=True)
    trusted = ensure_authority(confdir).der
    assert served(start_proxy())
    assert ensure_authority(confdir).der == trusted
