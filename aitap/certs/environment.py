"""The variables that send a client through the proxy and make it trust the CA, for shells and containers.

Which client heeds which variable was measured with the real clients; the set is the union of what
they need. Two groups: variables that *add* to a client's trust store get the CA alone, variables that
*replace* it get the bundle (see :mod:`aitap.certs.bundle`).
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from aitap.certs.direct import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ADDED",
    "DIRECT",
    "PROXY",
    "REPLACED",
    "SHELLS",
    "SWITCHES",
    "container_arguments",
    "proxy_variables",
    "render",
]

PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
"""Where the proxy is. Some clients read one case only; curl and what follows it read ``http_proxy`` only so."""

DIRECT = ("NO_PROXY", "no_proxy")
"""What is reached without the proxy."""

ADDED = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Node, Bun and Deno add this file to their store."""

REPLACED = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "CODEX_CA_CERTIFICATE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)
"""OpenSSL, Bun, Go, Rust, uv and httpx; requests; boto3 and the AWS CLI; curl; Codex; pip; git; cargo; gRPC: each
replaces its store by this file."""

SWITCHES = {"NODE_USE_ENV_PROXY": "1"}
"""Plain Node heeds the proxy variables only with this (22.21, 24 and later)."""

_CONTAINER_HOST = "host.docker.internal"
_CONTAINER_CA = "/etc/aitap/ca.pem"
_CONTAINER_BUNDLE = "/etc/aitap/ca-bundle.pem"


def proxy_variables(proxy: str, ca: str, bundle: str, direct: str = "") -> dict[str, str]:
    """All variables, in the order to show them.

    ``proxy`` is a URL; ``ca`` and ``bundle`` are paths of PEM files; ``direct`` is the ``NO_PROXY`` there was.

    Left out on purpose: ``ALL_PROXY`` (clients that heed it heed ``HTTPS_PROXY``, and some take it for SOCKS),
    whatever switches verification off, ``UV_NATIVE_TLS`` (the system's store in place of ``SSL_CERT_FILE``) and
    ``JAVA_TOOL_OPTIONS`` (each JVM prints it, and Java wants a key store of its own format).
    """
    return {
        **dict.fromkeys(PROXY, proxy),
        **dict.fromkeys(DIRECT, merged(direct)),
        **dict.fromkeys(ADDED, ca),
        **dict.fromkeys(REPLACED, bundle),
        **SWITCHES,
    }


def _single_quoted(value: str, replacements: Mapping[str, str]) -> str:
    for char, escaped in replacements.items():
        value = value.replace(char, escaped)
    return f"'{value}'"


def _dotenv(value: str) -> str:
    # Bare where every reader agrees on the meaning: `docker run --env-file` takes quotes literally.
    if re.fullmatch(r"[\w./:,@%+~\[\]-]*", value):
        return value
    return _single_quoted(value, {}) if "'" not in value else '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


SHELLS: dict[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} " + _single_quoted(value, {"\\": "\\\\", "'": "\\'"}),
    "powershell": lambda name, value: f"$env:{name} = " + _single_quoted(value, {"'": "''"}),
    "dotenv": lambda name, value: f"{name}={_dotenv(value)}",
}
"""How each shell sets a variable that its children get."""


def render(variables: Mapping[str, str], shell: str) -> str:
    """One line for each variable, in the words of ``shell`` (a key of ``SHELLS``)."""
    return "".join(SHELLS[shell](name, value) + "\n" for name, value in variables.items())


def container_arguments(proxy: str, ca: str, bundle: str) -> str:
    """Arguments for ``docker run`` (podman too), one a line: variables, the files they name, the way to the host.

    A proxy on this machine's loopback is named as containers see it; it must listen on an address they reach.
    """
    address = urlsplit(proxy)
    if address.hostname in {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}:  # noqa: S104
        user, at, _ = address.netloc.rpartition("@")
        port = f":{address.port}" if address.port else ""
        proxy = urlunsplit(address._replace(netloc=f"{user}{at}{_CONTAINER_HOST}{port}"))
    lines = [
        f"--add-host={_CONTAINER_HOST}:host-gateway",
        "--volume=" + shlex.quote(f"{ca}:{_CONTAINER_CA}:ro"),
        "--volume=" + shlex.quote(f"{bundle}:{_CONTAINER_BUNDLE}:ro"),
    ]
    variables = proxy_variables(proxy, _CONTAINER_CA, _CONTAINER_BUNDLE)
    lines += ["--env=" + shlex.quote(f"{name}={value}") for name, value in variables.items()]
    return "".join(line + "\n" for line in lines)
