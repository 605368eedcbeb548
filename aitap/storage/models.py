"""The tables, named as in the reference so that its SQL dashboards run unchanged.

Hot tables have no foreign keys: the writer never waits for a check, and retention removes children
and parent together. ``aibridge_*`` columns that the reference has keep its names and meaning; the
rest are ours. The migrations are the truth about the schema; a test holds the two together.
"""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DoubleField,
    IntegerField,
    TextField,
)

from aitap.storage.access_models import Change, HostRule, Key, Reading, User
from aitap.storage.budget_models import Budget, BudgetNotice, Group, GroupMember
from aitap.storage.evidence_models import Ending, EvidenceBlock, ExportCursor
from aitap.storage.fields import Json, Table, Timestamp, Uuid
from aitap.storage.kind_models import Kind, KindDay, PrunedId, SessionDay, SessionKind
from aitap.storage.long_sessions import FAR
from aitap.storage.proxy_models import Host, ProxyRun
from aitap.storage.spans import SPAN
from aitap.storage.usage_models import (
    DailyModel,
    DailyTotal,
    DailyUsage,
    MonthlyTotal,
    MonthlyUsage,
    MonthlyUser,
)

__all__ = [
    "CONTENTS",
    "HAS_CONTENTS",
    "MODELS",
    "Budget",
    "BudgetNotice",
    "Change",
    "DailyModel",
    "DailyTotal",
    "DailyUsage",
    "Ending",
    "EvidenceBlock",
    "ExportCursor",
    "Group",
    "GroupMember",
    "History",
    "Host",
    "HostRule",
    "Interception",
    "Key",
    "Kind",
    "KindDay",
    "LooseMessage",
    "Message",
    "ModelThought",
    "MonthlyTotal",
    "MonthlyUsage",
    "MonthlyUser",
    "ProxyRun",
    "PrunedId",
    "Reading",
    "Session",
    "SessionDay",
    "SessionKind",
    "TokenUsage",
    "ToolUsage",
    "User",
    "UserPrompt",
]


class Interception(Table):
    """One request to a model and its response; see ``aitap.record.Interception`` for each column."""

    id = Uuid(primary_key=True)
    initiator_id = Uuid()
    api_key_id = TextField(null=True)
    provider = TextField()
    provider_name = TextField(default="")
    model = TextField()
    client = TextField(null=True)
    client_version = TextField(null=True)
    client_session_id = TextField(null=True)
    session_id = TextField()
    thread_parent_id = Uuid(null=True)
    thread_root_id = Uuid(null=True)
    started_at = Timestamp()
    ended_at = Timestamp(null=True)
    metadata = Json(null=True)
    credential_kind = TextField(default="centralized")
    credential_hint = TextField(default="")
    error_type = TextField(null=True)
    error_message = TextField(null=True)
    last_prompt_at = Timestamp(null=True)
    user_agent = TextField(null=True)
    api = TextField()
    method = TextField()
    host = TextField()
    path = TextField()
    http_version = TextField()
    status_code = IntegerField(null=True)
    streaming = BooleanField(default=False)
    response_model = TextField(null=True)
    provider_request_id = TextField(null=True)
    client_request_id = TextField(null=True)
    stop_reason = TextField(null=True)
    time_to_first_token = DoubleField(null=True)
    duration = DoubleField(null=True)
    request_bytes = BigIntegerField(default=0)
    response_bytes = BigIntegerField(default=0)
    outcome = TextField()
    purpose = TextField()
    retry_of = Uuid(null=True)
    capture = TextField()
    proxy_id = IntegerField(null=True)
    request_digest = TextField(null=True)
    response_digest = TextField(null=True)
    system_digest = TextField(null=True)
    tools_digest = TextField(null=True)
    kind_id = IntegerField(null=True)
    """What lists are filtered by, all in one; see :mod:`aitap.storage.kinds`."""

    class Meta:
        table_name = "aibridge_interceptions"
        indexes = (
            (("session_id", "started_at"), False),
            (("started_at", "kind_id"), False),
            (("kind_id", "started_at"), False),
        )


class Child(Table):
    """What every row that belongs to an interception has."""

    id = Uuid(primary_key=True)
    interception_id = Uuid(index=True)
    provider_response_id = TextField()
    metadata = Json(null=True)
    created_at = Timestamp()


class TokenUsage(Child):
    """One row per provider response."""

    provider_response_id = TextField()  # its place among the columns
    input_tokens = BigIntegerField()
    output_tokens = BigIntegerField()
    cache_read_input_tokens = BigIntegerField(default=0)
    cache_write_input_tokens = BigIntegerField(default=0)
    provider_model = TextField(null=True)
    cost_micros = BigIntegerField(null=True)
    price_book = TextField(null=True)
    """The version of the prices that made the cost, or that had none for it; see :mod:`aitap.prices`."""

    class Meta:
        table_name = "aibridge_token_usages"


class UserPrompt(Child):
    """What the person typed."""

    prompt = TextField()

    class Meta:
        table_name = "aibridge_user_prompts"


class ToolUsage(Child):
    """One tool call, completed by the later request that carries its result."""

    provider_tool_call_id = TextField(null=True)
    provider_item_id = TextField(null=True)
    server_url = TextField(null=True)
    tool = TextField()
    input = TextField()
    injected = BooleanField(default=False)
    invocation_error = TextField(null=True)
    kind = TextField()
    result_status = TextField(null=True)
    result_at = Timestamp(null=True)
    result_bytes = BigIntegerField(null=True)

    class Meta:
        table_name = "aibridge_tool_usages"


class ModelThought(Child):
    """One piece of reasoning."""

    content = TextField()

    class Meta:
        table_name = "aibridge_model_thoughts"


class Session(Table):
    """One row per (session, initiator), kept by the writer so that no list ever groups interceptions.

    Counts cover ended interceptions; ``threads`` and ``prompts`` leave out auxiliary and probe requests.
    """

    session_id = TextField()
    initiator_id = Uuid()
    client = TextField(null=True)
    providers = Json()
    models = Json()
    started_at = Timestamp()
    ended_at = Timestamp(null=True)
    last_active_at = Timestamp()
    interceptions = IntegerField(default=0)
    threads = IntegerField(default=0)
    prompts = IntegerField(default=0)
    tool_calls = IntegerField(default=0)
    errors = IntegerField(default=0)
    input_tokens = BigIntegerField(default=0)
    output_tokens = BigIntegerField(default=0)
    cache_read_input_tokens = BigIntegerField(default=0)
    cache_write_input_tokens = BigIntegerField(default=0)
    last_prompt = TextField(null=True)
    unpriced = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    """Token usages whose cost is not known."""
    cost_micros = BigIntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    pinned = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    """Retention leaves it alone."""

    class Meta:
        table_name = "aitap_sessions"
        primary_key = CompositeKey("session_id", "initiator_id")
        without_rowid = True
        indexes = (
            (("initiator_id", "last_active_at", "started_at"), False),
            (("cost_micros", "session_id", "initiator_id"), False),
        )


class History(Table):
    """Digest of a whole conversation as last sent, for clients that send no id to tell turns apart."""

    digest = TextField()
    initiator_id = Uuid()
    interception_id = Uuid()
    created_at = Timestamp(index=True)

    class Meta:
        table_name = "aitap_histories"
        primary_key = CompositeKey("digest", "initiator_id")
        without_rowid = True


class Message(Table):
    """One message of a conversation, or a document that goes with it; see ``aitap.record.StoredMessage``."""

    digest = TextField(primary_key=True)
    parent_digest = TextField(null=True)
    role = TextField()
    content = TextField()
    bytes = BigIntegerField()
    created_at = Timestamp()

    class Meta:
        table_name = "aitap_messages"


class LooseMessage(Table):
    """A message that lost one that referred to it: it goes too, unless another does."""

    digest = TextField(primary_key=True)

    class Meta:
        table_name = "aitap_loose_messages"
        without_rowid = True


MODELS: tuple[type[Any], ...] = (
    User,
    Key,
    Reading,
    HostRule,
    Change,
    Group,
    GroupMember,
    Budget,
    BudgetNotice,
    Interception,
    TokenUsage,
    UserPrompt,
    ToolUsage,
    ModelThought,
    Session,
    Kind,
    KindDay,
    SessionKind,
    SessionDay,
    PrunedId,
    DailyUsage,
    MonthlyUsage,
    DailyTotal,
    MonthlyTotal,
    DailyModel,
    MonthlyUser,
    History,
    ProxyRun,
    Host,
    Message,
    LooseMessage,
    EvidenceBlock,
    Ending,
    ExportCursor,
)

CONTENTS = ("request_digest", "response_digest", "system_digest", "tools_digest")
"""The columns by which an interception refers to contents."""
HAS_CONTENTS = "request_digest IS NOT NULL OR response_digest IS NOT NULL"

Interception.add_index(
    Interception.index(Interception.id, where=SQL("ended_at IS NULL"), name="aibridge_interceptions_open")
)
Interception.add_index(
    Interception.index(Interception.started_at, where=SQL(HAS_CONTENTS), name="aibridge_interceptions_contents")
)
# In SQLite; in PostgreSQL each is of the key alone.
for _model, _name, _key in (
    (Interception, "aibridge_interceptions_span_end", "substr(CAST(id AS TEXT), 33)"),
    (TokenUsage, "aibridge_token_usages_span_response", "provider_response_id"),
    (ToolUsage, "aibridge_tool_usages_span_call", "provider_tool_call_id"),
):
    _model.add_index(SQL(f"CREATE INDEX {_name} ON {_model._meta.table_name} ({SPAN.format('')}, {_key})"))
for _column in CONTENTS:
    Interception.add_index(getattr(Interception, _column), where=SQL(f"{_column} IS NOT NULL"))
Session.add_index(
    Session.index(
        Session.last_active_at,
        Session.session_id,
        Session.initiator_id,
        Session.started_at,
        name="aitap_sessions_newest",
    )
)
# In SQLite; in PostgreSQL the first of its keys has other words.
Session.add_index(
    SQL(
        f"CREATE INDEX aitap_sessions_far ON aitap_sessions (({FAR}), ended_at, last_active_at, session_id, "
        f"initiator_id, started_at) WHERE {FAR} IS NOT NULL"
    )
)
Message.add_index(Message.parent_digest, where=SQL("parent_digest IS NOT NULL"))
