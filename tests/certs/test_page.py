"""The page gives out certificates and nothing else, in forms that browsers and tools take."""

from __future__ import annotations

import base64
import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from aitap.certs.authority import Authority, ensure_authority, facts
from aitap.certs.page import Answer, answer

BASE = "http://proxy.test:8080"
PATHS = ["/", "/ca.pem", "/ca.crt", "/ca-bundle.pem", "/proxy/ca-cert.pem", "/mitmproxy-ca.pem", "/aitap-root.pem"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("conf"))


def get(authority: Authority, path: str, base: str = BASE) -> Answer:
    return answer("GET", path, base, authority, facts)


def secrets(folder: Path) -> list[bytes]:
    """Every line of a private key in the folder."""
    lines = []
    for name in ("mitmproxy-ca.pem", "aitap-root.pem"):
        key = (folder / name).read_bytes().partition(b"-----END PRIVATE KEY-----")[0]
        lines += key.splitlines()[1:]
    assert len(lines) > 4
    return lines


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_holds_key_material(authority: Authority, path: str) -> None:
    body = get(authority, path).body
    assert b"PRIVATE" not in body
    assert not [line for line in secrets(authority.path.parent) if line in body]


def test_a_key_that_fell_into_the_certificate_s_file_stays_there(authority: Authority, tmp_path: Path) -> None:
    folder = authority.path.parent
    public = tmp_path / "mitmproxy-ca-cert.pem"
    public.write_bytes((folder / "aitap-root.pem").read_bytes())
    found = ensure_authority(tmp_path)
    assert found.der == authority.der
    assert b"PRIVATE" not in get(found, "/ca.pem").body


@pytest.mark.parametrize("path", ["/ca.pem", "/proxy/ca-cert.pem", "/ca.pem?from=a"])
def test_the_certificate_comes_as_pem(authority: Authority, path: str) -> None:
    found = get(authority, path)
    assert ssl.PEM_cert_to_DER_cert(found.body.decode()) == authority.der
    assert found.headers["content-type"] == "application/x-pem-file"
    assert found.headers["content-disposition"] == 'attachment; filename="aitap-ca.pem"'


def test_the_certificate_comes_as_der(authority: Authority) -> None:
    found = get(authority, "/ca.crt")
    assert found.body == authority.der
    assert x509.load_der_x509_certificate(found.body)
    assert found.headers["content-type"] == "application/x-x509-ca-cert"
    assert found.headers["content-disposition"] == 'attachment; filename="aitap-ca.crt"'


def test_the_bundle_is_a_trust_store_with_our_root_in_it(authority: Authority) -> None:
    context = ssl.create_default_context(cadata=get(authority, "/ca-bundle.pem").body.decode())
    loaded = context.get_ca_certs(binary_form=True)
    assert authority.der in loaded
    assert len(loaded) > 20


def test_the_page_shows_fingerprint_and_commands_with_the_proxy_s_address(authority: Authority) -> None:
    found = get(authority, "/")
    text = found.body.decode()
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert authority.fingerprint in text
    for command in (
        "update-ca-certificates",
        "update-ca-trust",
        "add-trusted-cert",
        "certutil",
        "keytool",
        "NODE_EXTRA",
    ):
        assert command in text
    assert f"{BASE}/ca.pem" in text
    assert "$" not in text.replace('"$HOME', "")


def test_the_page_needs_nothing_from_elsewhere_and_may_run_nothing(authority: Authority) -> None:
    found = get(authority, "/")
    text = found.body.decode()
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not [word for word in ("<script", "src=", "@import", "url(", "<link") if word in text]


def test_the_style_is_the_one_that_the_policy_allows(authority: Authority) -> None:
    found = get(authority, "/")
    style = found.body.decode().partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in found.headers["content-security-policy"]


@pytest.mark.parametrize("base", ["http://a.test/<script>", "http://a.test:80 x", 'http://"', "javascript:x"])
def test_an_address_that_is_none_is_not_repeated(authority: Authority, base: str) -> None:
    for path in ("/", "/elsewhere"):
        body = get(authority, path, base).body
        assert base.encode() not in body
        assert b"http://aitap.internal/ca.pem" in body


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_a_browser_might_try(authority: Authority, path: str) -> None:
    found = get(authority, path)
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["x-frame-options"] == "DENY"
    assert found.headers["referrer-policy"] == "no-referrer"
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["content-length"] == str(len(found.body))


def test_another_path_is_not_there_and_says_what_this_is(authority: Authority) -> None:
    found = get(authority, "/v1/models")
    assert found.status == 404
    assert found.body.decode().count("\n") == 1
    assert f"HTTPS_PROXY={BASE}" in found.body.decode()


def test_a_method_that_would_change_something_is_refused(authority: Authority) -> None:
    found = answer("POST", "/v1/messages", BASE, authority, facts)
    assert (found.status, found.headers["allow"]) == (405, "GET, HEAD")
