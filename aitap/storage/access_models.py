"""The tables of who may use the proxy, who read whose records, and what is said of hosts.

:mod:`aitap.storage.models` has the others.
"""

from __future__ import annotations

from peewee import SQL, BigIntegerField, BooleanField, TextField

from aitap.storage.fields import Json, Table, Timestamp, Uuid

__all__ = ["Change", "HostRule", "Key", "Reading", "User"]


class User(Table):
    """A person or machine that calls models. The reference's dashboards join it by ``id``."""

    id = Uuid(primary_key=True)
    username = TextField(unique=True)
    name = TextField(default="")
    email = TextField(null=True)
    avatar_url = TextField(null=True)
    deleted = BooleanField(default=False)
    created_at = Timestamp()
    source = TextField(default="local", constraints=[SQL("DEFAULT 'local'")])
    """Where the user was first known from: ``local`` (named here), ``coder``, ``htpasswd`` or ``address``."""
    role = TextField(default="user", constraints=[SQL("DEFAULT 'user'")])
    """Whose records the user may see: one of :data:`aitap.storage.users.ROLES`."""

    class Meta:
        table_name = "users"


class Key(Table):
    """A proxy key: what its owner shows instead of a password. The key itself is nowhere, only its digest."""

    id = TextField(primary_key=True)
    """Text as ``aibridge_interceptions.api_key_id`` is, which may also name a key of another directory."""
    user_id = Uuid(index=True)
    name = TextField(default="")
    digest = TextField(unique=True)
    """SHA-256 of the whole key, in hexadecimal digits."""
    hint = TextField()
    """The key's last characters, by which its owner knows it."""
    created_at = Timestamp()
    expires_at = Timestamp(null=True)
    revoked_at = Timestamp(null=True)
    last_used_at = Timestamp(null=True)

    class Meta:
        table_name = "aitap_keys"


class Reading(Table):
    """Somebody was shown records of somebody else: one row for each answer and each person whose they were.

    Or, where there is an ``action``, somebody changed something: see :mod:`aitap.storage.administration`.
    """

    id = Uuid(primary_key=True)
    read_at = Timestamp(index=True)
    reader_id = Uuid()
    api_key_id = TextField(null=True)
    """The key that was shown; null where none was asked for."""
    address = TextField()
    """Where the reader came from; empty where that is not known."""
    subject_id = Uuid()
    """Whose records they were, or to whom it was done."""
    path = TextField()
    """Of the URL, or the command."""
    query = TextField()
    """The question, as it stood in the URL; cut where it is long."""
    records = BigIntegerField()
    """How many interceptions or sessions of this person were in the answer."""
    action = TextField(null=True)
    """What was done, such as ``key.create``; null for a reading."""
    detail = Json(null=True)
    """What is to be known of what was done; never a key or anything else that is secret."""

    class Meta:
        table_name = "aitap_audit"
        indexes = ((("subject_id", "read_at"), False),)


class HostRule(Table):
    """What the operator said of a host: ``observe`` it (pass it unread) or ``decrypt`` it."""

    pattern = TextField(primary_key=True)
    """A lower-case name or address, or a ``*`` pattern."""
    mode = TextField()
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_host_modes"


class Change(Table):
    """How often something was changed, so that who follows it need not read it to know that it is the same."""

    name = TextField(primary_key=True)
    """``access``: users, keys and rules for hosts."""
    version = BigIntegerField()

    class Meta:
        table_name = "aitap_changes"
