"""A crew of little workers that are no proxies, as a program: ``python -m tests.workers.little COUNT``."""

from __future__ import annotations

import os
import sys

from aitap.workers.crew import Crew, Start
from aitap.workers.port import BALANCED, Port

WORKER = """
import os, select, signal, socket, sys, time
line = socket.socket(fileno=int(sys.argv[1]))
sockets = [socket.socket(fileno=int(word)) for word in sys.argv[2].split(",")]
if "wrong" in sys.argv:
    sys.exit(3)
def stop(*_):
    sys.exit(0)
if "stubborn" in sys.argv:
    stop = lambda *_: print("not yet", flush=True)
signal.signal(signal.SIGTERM, stop)
if "hasty" in sys.argv:
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    os.kill(os.getppid(), signal.SIGINT)
    while not told:
        select.select([], [], [], 0.01)
    line.send(b"\\x01")
    select.select([], [], [], 0.5)
    sys.exit(0)
line.send(b"\\x01")
while True:
    readable = select.select([line, *sockets], [], [])[0]
    if line in readable:
        print(f"orphan {os.getpid()}", flush=True)
        sys.exit(0)
    for bound in readable:
        try:
            bound.settimeout(0)
            connection = bound.accept()[0]
        except OSError:
            continue
        with connection:
            connection.settimeout(60)
            connection.sendall(f"{os.getpid()}\\n".encode())
            connection.recv(1)
"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the port, then all that is said."""
    count, *words = sys.argv[1:]
    probe = Port("127.0.0.1", 0, balanced=False)
    [bound] = probe.open()
    number = bound.getsockname()[1]
    bound.close()
    probe.close()
    port = Port("127.0.0.1", number, balanced=BALANCED and "shared" not in words)
    say(f"port {number}")
    return Crew(int(count), port, Start(words, os.environ, WORKER), say).run()


if __name__ == "__main__":
    sys.exit(main())
