"""The tables of who may use the proxy and of what is said of hosts; :mod:`aitap.storage.models` has the others."""

from __future__ import annotations

from peewee import SQL, BigIntegerField, BooleanField, TextField

from aitap.storage.fields import Table, Timestamp, Uuid

__all__ = ["Change", "HostRule", "Key", "User"]


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
