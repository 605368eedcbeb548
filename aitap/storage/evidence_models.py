"""The tables of what was committed when: tamper evidence, and what exports have seen.

:mod:`aitap.storage.models` has the others.
"""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, TextField

from aitap.storage.fields import Table, Timestamp

__all__ = ["Ending", "EvidenceBlock", "ExportCursor"]


class EvidenceBlock(Table):
    """One link of the chain: what one transaction did to records; see :mod:`aitap.storage.evidence`."""

    turn = BigIntegerField(primary_key=True)
    """1, 2, 3, ... without a gap."""
    previous = BlobField()
    """The hash of the block before; 32 zero bytes in the first."""
    at = Timestamp()
    key = TextField()
    """The fingerprint of the public key that the signature is to be checked with."""
    records = BlobField(null=True)
    """Interceptions as they were left, 48 bytes each: id, digest of the row, digest of its children."""
    messages = BlobField(null=True)
    """Messages that were written, 52 bytes each: digest, and digest of the row."""
    readings = BlobField(null=True)
    """Readings that were written, 48 bytes each: id, and digest of the row."""
    removed = BlobField(null=True)
    """Interceptions and readings that went, 16 bytes each: the id."""
    hash = BlobField()
    signature = BlobField()

    class Meta:
        table_name = "aitap_evidence"


class Ending(Table):
    """What ended in one transaction; kept for exports that go on where the last one stopped."""

    number = BigIntegerField(primary_key=True)
    ids = BlobField()
    """Interceptions, 16 bytes each."""

    class Meta:
        table_name = "aitap_endings"


class ExportCursor(Table):
    """How far an export of this name has come."""

    name = TextField(primary_key=True)
    number = BigIntegerField()
    """The last of ``aitap_endings`` that was exported."""
    query = TextField()
    """What was asked for, as JSON: another question would leave gaps."""
    exported_at = Timestamp()
    records = BigIntegerField(default=0)
    """How many records the last export had."""

    class Meta:
        table_name = "aitap_exports"
        without_rowid = True
