"""The tables of groups of users and of budgets; :mod:`aitap.storage.models` has the others."""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, CompositeKey, IntegerField, TextField

from aitap.storage.fields import Table, Timestamp, Uuid

__all__ = ["Budget", "BudgetNotice", "Group", "GroupMember"]


class Group(Table):
    """Users who are spoken of together."""

    id = Uuid(primary_key=True)
    name = TextField(unique=True)
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_groups"


class GroupMember(Table):
    """A user is in a group. One may be in several."""

    group_id = Uuid()
    user_id = Uuid(index=True)
    joined_at = Timestamp()

    class Meta:
        table_name = "aitap_group_members"
        primary_key = CompositeKey("group_id", "user_id")
        without_rowid = True


class Budget(Table):
    """What somebody may use up in a period; see :mod:`aitap.storage.budgets`."""

    id = Uuid(primary_key=True)
    kind = TextField()
    """Whose it is: ``user``, ``group`` or ``everybody``."""
    subject_id = TextField()
    """Id of the user or the group; empty for everybody."""
    each = BooleanField()
    """Whether everyone of them has so much, and not all of them together."""
    period = TextField()
    """``day``, ``week`` or ``month``, in UTC."""
    unit = TextField()
    """``usd`` (``amount`` is in micro-dollars) or ``tokens``."""
    amount = BigIntegerField()
    mode = TextField()
    """What happens when it is used up: ``warn``, ``enforce``, or empty for what the setting says."""
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_budgets"
        indexes = ((("kind", "subject_id", "each", "period", "unit"), True),)


class BudgetNotice(Table):
    """It was told that so much of a budget is used up: once in a period, whoever noticed."""

    budget_id = Uuid()
    user_id = TextField()
    """Of whom, where everyone has so much; else empty."""
    since = TextField()
    """The day on which the period began: ``2026-11-01``."""
    percent = IntegerField()
    """The threshold that was passed."""
    told_at = Timestamp(index=True)

    class Meta:
        table_name = "aitap_budget_notices"
        primary_key = CompositeKey("budget_id", "user_id", "since", "percent")
        without_rowid = True
