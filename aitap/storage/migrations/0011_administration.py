"""Who changed what stands in the audit, beside who read what. A frozen copy of what the models of that day add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import PostgresqlDatabase

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["up"]


def up(_migrator: Any, database: Database) -> None:
    """Two columns that readings have not: null for all there are, so that their digests stay what they were."""
    kind = "JSONB" if isinstance(database, PostgresqlDatabase) else "TEXT"
    database.execute_sql('ALTER TABLE aitap_audit ADD COLUMN "action" TEXT')
    database.execute_sql(f'ALTER TABLE aitap_audit ADD COLUMN "detail" {kind}')
