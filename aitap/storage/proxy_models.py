"""The tables of what proxies tell of themselves, and of the hosts that they see.

As ever, the migrations are the truth about the schema (:mod:`aitap.storage.models`).
"""

from __future__ import annotations

from peewee import AutoField, BigIntegerField, CompositeKey, IntegerField, TextField

from aitap.storage.fields import Table, Timestamp, Uuid

__all__ = ["Host", "ProxyRun"]


class Host(Table):
    """What one user's client did with one host from one address; ``mode`` is an ``aitap.record.HostMode``."""

    host = TextField()
    mode = TextField()
    provider = TextField()
    provider_name = TextField()
    initiator_id = Uuid()
    client = TextField()
    """Empty where it is not known: it is part of the key. So is ``client_address``."""
    client_address = TextField()
    first_seen = Timestamp()
    last_seen = Timestamp(index=True)
    interceptions = BigIntegerField(default=0)
    connections = BigIntegerField(default=0)
    """Of tunnels, as are the bytes: what is read is counted by its interceptions."""
    bytes_sent = BigIntegerField(default=0)
    bytes_received = BigIntegerField(default=0)
    refusals = BigIntegerField(default=0)
    error = TextField(default="")
    """What the client said when it refused our certificate the last time; empty where it never did."""

    class Meta:
        table_name = "aitap_hosts"
        primary_key = CompositeKey(
            "host", "mode", "provider", "provider_name", "initiator_id", "client", "client_address"
        )
        without_rowid = True


class ProxyRun(Table):
    """One run of a proxy; its heartbeat tells whether the interceptions it left open still live."""

    id = AutoField()
    host = TextField()
    pid = IntegerField()
    started_at = Timestamp()
    heartbeat_at = Timestamp()
    ended_at = Timestamp(null=True)

    class Meta:
        table_name = "aitap_proxies"
