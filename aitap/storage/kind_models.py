"""The tables that say what there is, for lists that answer at once whatever their filter; see :mod:`.kinds`."""

from __future__ import annotations

from peewee import AutoField, BigIntegerField, CompositeKey, IntegerField, TextField

from aitap.storage.fields import Table, Timestamp, Uuid

__all__ = ["Kind", "KindDay", "PrunedId", "SessionDay", "SessionKind"]


class Kind(Table):
    """One combination of what lists are filtered by. An interception refers to its kind by ``kind_id``."""

    id = AutoField()
    initiator_id = Uuid()
    provider = TextField()
    provider_name = TextField()
    model = TextField()
    client = TextField()
    """Empty where it is not known, being part of what must be unique."""
    interceptions = BigIntegerField(default=0)
    """How many there are that have ended; what retention took is not among them."""

    class Meta:
        table_name = "aitap_kinds"
        indexes = ((("initiator_id", "provider", "provider_name", "model", "client"), True),)


class KindDay(Table):
    """The same by the day (UTC) on which interceptions began."""

    kind_id = IntegerField()
    day = IntegerField()
    """Days since the epoch."""
    interceptions = BigIntegerField(default=0)

    class Meta:
        table_name = "aitap_kind_days"
        primary_key = CompositeKey("kind_id", "day")
        without_rowid = True


class SessionKind(Table):
    """The same by session, with the starts of the first and the last of them."""

    session_id = TextField()
    initiator_id = Uuid()
    kind_id = IntegerField()
    interceptions = BigIntegerField(default=0)
    first_at = Timestamp()
    last_at = Timestamp()
    active_at = Timestamp(null=True)
    """The session's ``last_active_at``, by which lists of sessions are sorted."""

    class Meta:
        table_name = "aitap_session_kinds"
        primary_key = CompositeKey("session_id", "initiator_id", "kind_id")
        without_rowid = True
        indexes = (
            (("kind_id", "last_at", "first_at"), False),
            (("kind_id", "active_at"), False),
            (("kind_id", "first_at"), False),
        )


class SessionDay(Table):
    """How many sessions there are of what can be asked for, by day; see :mod:`aitap.storage.session_days`."""

    asked = IntegerField()
    """Which of the next four are asked for: 1, 2, 4, 8. The others are empty."""
    provider = TextField()
    provider_name = TextField()
    model = TextField()
    client = TextField()
    day = IntegerField()
    """Days since the epoch."""
    began = IntegerField(default=0)
    """Sessions whose first such interception began on this day."""
    ended = IntegerField(default=0)
    """Sessions whose last such interception began on this day."""

    class Meta:
        table_name = "aitap_session_days"
        primary_key = CompositeKey("asked", "provider", "provider_name", "model", "client", "day")
        without_rowid = True


class PrunedId(Table):
    """An interception that was read from a file and has gone with the retention: its days count it already."""

    id = Uuid(primary_key=True)

    class Meta:
        table_name = "aitap_pruned"
        without_rowid = True
