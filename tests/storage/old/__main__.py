"""Write the dumps that are missing."""

from __future__ import annotations

import sqlite3
import sys
import tempfile

from tests.storage.old import FOLDER, names, older


def main() -> int:
    for name in names():
        dump = FOLDER / f"{name}.sql"
        if dump.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            older(f"sqlite:///{folder}/old.db", name).close()
            connection = sqlite3.connect(f"{folder}/old.db")
            dump.write_text("\n".join(connection.iterdump()) + "\n", "utf-8")
            connection.close()
        sys.stdout.write(f"wrote {dump.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
