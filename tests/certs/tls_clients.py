"""TLS stacks that clients use, each asked whether it accepts the certificate of a server on loopback."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["CLIENTS", "Client"]

Client = Callable[[int, str, Path, Path], tuple[bool, str]]
"""Connects to a port as if it were the named host, trusting the root in a file and no other, with a folder to work in.
Tells whether the certificate was accepted, and what it said."""

_NODE = """
const [port, host, ca] = process.argv.slice(1);
const socket = require("tls").connect(
  {host: "127.0.0.1", port, servername: host, ca: require("fs").readFileSync(ca)},
  () => { console.log("accepted"); socket.destroy(); });
socket.on("error", (error) => { console.log(error.code, error.message); process.exitCode = 1; });
"""

_JAVA = """
import java.io.FileInputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

public class Probe {
    public static void main(String[] args) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream file = new FileInputStream(args[2])) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        Socket plain = new Socket("127.0.0.1", Integer.parseInt(args[0]));
        SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, args[1], 443, true);
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        socket.setSSLParameters(parameters);
        socket.startHandshake();
        System.out.println("accepted");
    }
}
"""

_GO = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

func main() {
	text, _ := os.ReadFile(os.Args[3])
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	_, err := tls.Dial("tcp", "127.0.0.1:"+os.Args[1], &tls.Config{RootCAs: pool, ServerName: os.Args[2]})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("accepted")
}
"""


def _run(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def python(port: int, host: str, ca: Path, folder: Path) -> tuple[bool, str]:
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 60) as plain,
            ssl.create_default_context(cafile=str(ca)).wrap_socket(plain, server_hostname=host),
        ):
            return True, "accepted"
    except ssl.SSLError as error:
        return False, str(error)


def openssl(port: int, host: str, ca: Path, folder: Path) -> tuple[bool, str]:
    checks = ["-verify_return_error", "-verify_hostname", host, "-brief"]
    status, said = _run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host, "-CAfile", ca, *checks
    )
    return status == 0, said


def curl(port: int, host: str, ca: Path, folder: Path) -> tuple[bool, str]:
    # 60: the certificate was refused. What the server then says over HTTP does not matter.
    place = f"{host}:{port}"
    status, said = _run(
        "curl", "-sS", "--noproxy", "*", "--cacert", ca, "--resolve", f"{place}:127.0.0.1", f"https://{place}/"
    )
    return status != 60, said


def node(port: int, host: str, ca: Path, folder: Path) -> tuple[bool, str]:
    status, said = _run("node", "-e", _NODE, str(port), host, ca)
    return status == 0, said


def java(port: int, host: str, ca: Path, folder: Path) -> tuple[bool, str]:
    (folder / "Probe.java").write_text(_JAVA)
    status, said = _run("java", folder / "Probe.java", str(port), host, ca)
    return status == 0, said


def go(port: int, host: str, ca: Path, folder: Path) -> tuple[bool, str]:
    (folder / "probe.go").write_text(_GO)
    status, said = _run("go", "run", folder / "probe.go", str(port), host, ca)
    return status == 0, said


CLIENTS = [
    pytest.param(
        client,
        id=client.__name__,
        marks=pytest.mark.skipif(
            client is not python and shutil.which(client.__name__) is None, reason=f"needs {client.__name__}"
        ),
    )
    for client in (python, openssl, curl, node, java, go)
]
"""All of them; those that are not on this machine are skipped."""
