"""Groups of users and budgets. A frozen copy of what the models of that day add."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, BooleanField, CompositeKey, Database, IntegerField, Model, TextField

from aitap.storage.fields import Timestamp, Uuid

__all__ = ["up"]


class Table(Model):
    class Meta:
        legacy_table_names = False


class Group(Table):
    id = Uuid(primary_key=True)
    name = TextField(unique=True)
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_groups"


class GroupMember(Table):
    group_id = Uuid()
    user_id = Uuid(index=True)
    joined_at = Timestamp()

    class Meta:
        table_name = "aitap_group_members"
        primary_key = CompositeKey("group_id", "user_id")
        without_rowid = True


class Budget(Table):
    id = Uuid(primary_key=True)
    kind = TextField()
    subject_id = TextField()
    each = BooleanField()
    period = TextField()
    unit = TextField()
    amount = BigIntegerField()
    mode = TextField()
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_budgets"
        indexes = ((("kind", "subject_id", "each", "period", "unit"), True),)


class BudgetNotice(Table):
    budget_id = Uuid()
    user_id = TextField()
    since = TextField()
    percent = IntegerField()
    told_at = Timestamp(index=True)

    class Meta:
        table_name = "aitap_budget_notices"
        primary_key = CompositeKey("budget_id", "user_id", "since", "percent")
        without_rowid = True


TABLES = (Group, GroupMember, Budget, BudgetNotice)


def up(_migrator: Any, database: Database) -> None:
    """Make the tables. Who follows the changes of budgets looks at a counter of their own."""
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES, safe=False)
    database.execute_sql("INSERT INTO aitap_changes (name, version) VALUES ('budgets', 0)")
