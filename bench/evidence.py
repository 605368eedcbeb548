"""``python -m bench.evidence``: what tamper evidence costs the writer, and how fast ``aitap verify`` is.

The same records are committed with and without it, in turns, each time to an empty database; then all of them are
verified. What counts is the CPU time of this process: with PostgreSQL it is not the server's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aitap.storage.commit import Commits
from aitap.storage.database import open_database, rows_of
from aitap.storage.evidence.chain import keep_evidence
from aitap.storage.evidence.keys import fingerprint
from aitap.storage.evidence.verify import Verification
from bench import machine
from bench.fill import END
from bench.places import located
from bench.traffic import Traffic

if TYPE_CHECKING:
    from peewee import Database

    from aitap.record import Interception

__all__ = ["commit", "verify"]

TABLES = ("aibridge_interceptions", "aibridge_token_usages", "aibridge_tool_usages", "aibridge_user_prompts")


def commit(database: Database, records: list[Interception], batch: int) -> float:
    """Commit all of them; CPU seconds."""
    commits = Commits(database, None)
    begun = time.process_time()
    for start in range(0, len(records), batch):
        if refused := commits.commit(records[start : start + batch]):
            raise SystemExit(f"bench: {len(refused)} records could not be stored")
    return time.process_time() - begun


def verify(database: Database, key: Ed25519PrivateKey) -> tuple[Verification, float]:
    """Verify everything; CPU seconds."""
    public = key.public_key()
    found = Verification(database, {fingerprint(public): public})
    begun = time.process_time()
    if problems := list(found.problems()):
        raise SystemExit(f"bench: {problems[0].text}")
    return found, time.process_time() - begun


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.evidence", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=1000, help="records in a transaction")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own, not on SQLite")
    arguments = parser.parse_args()
    key = Ed25519PrivateKey.generate()
    spent: dict[bool, list[float]] = {False: [], True: []}
    about = machine.describe()
    for _ in range(arguments.rounds):
        for chained in (False, True):
            traffic = Traffic(begin=END - 86_400 * 30, days=30, rows=arguments.rows, users=50, seed=1)
            records = list(traffic.records())
            with tempfile.TemporaryDirectory() as folder:
                place = f"postgres://{folder}/pg" if arguments.postgres else f"sqlite:///{folder}/a.db"
                with located(place) as url:
                    database = open_database(url, migrate=True)
                    if chained:
                        keep_evidence(database, key)
                    spent[chained].append(commit(database, records, arguments.batch) / len(records))
                    if chained:
                        found, took = verify(database, key)
                        [(size,)] = rows_of(
                            database,
                            "SELECT sum(length(coalesce(records, previous)) + length(previous) + length(hash) "
                            "+ length(signature)) FROM aitap_evidence",
                        )
                    database.close()
                    if place.startswith("sqlite"):
                        Path(folder, "a.db").unlink()
    without, chained_cost = (statistics.median(spent[which]) for which in (False, True))
    print(f"{about['cpus']} CPUs ({about['processor']}), load average {about['load_average']}")
    print(f"{arguments.rows:,} interceptions, {arguments.batch} in a transaction, median of {arguments.rounds}")
    print(f"without evidence  {1 / without:8,.0f} interceptions a CPU second")
    print(f"with evidence     {1 / chained_cost:8,.0f} ({without / chained_cost:.2f} of that)")
    print(f"verify            {found.records / took:8,.0f} ({found.blocks} blocks)")
    print(f"evidence          {int(size) / found.records:8.1f} bytes an interception")
    return 0


if __name__ == "__main__":
    sys.exit(main())
