"""What the dashboard on the records shows, row by row; the queries are in ``sql/``, for both kinds of database."""

from __future__ import annotations

from dashboards.grafana import Panel, Row

__all__ = ["ROWS"]

_TOKENS = {"Input": "short", "Output": "short", "Cache read": "short", "Cache write": "short"}
_RESULTS = {"ok": "green", "error": "red"}

ROWS = (
    Row(
        "Usage",
        (
            Panel(
                "Activity of $username",
                "stat",
                "activity",
                "What happened in this span. An interception is one request to a model and its response. Threads and "
                "prompts leave out what clients ask for themselves (titles, summaries, probes); prompts also leave out "
                "what a model told its sub-agents.",
                width=24,
                height=4,
            ),
            Panel(
                "Total usage of $username",
                "stat",
                "usage",
                "Tokens as providers bill them. Input is uncached input; what was read from or written to the cache is "
                "beside it, never inside it.",
                width=4,
                height=12,
            ),
            Panel(
                "Leaderboard per user",
                "barchart",
                "leaderboard",
                "Tokens per user, the greatest reader of the cache first; at most 25 users.",
                width=11,
                height=12,
            ),
            Panel("Top models", "pie", "models", "Interceptions by the model that was asked for.", width=3, height=12),
            Panel(
                "Top clients",
                "pie",
                "clients",
                "Interceptions by client. Those whose client is not known are there, too: as Unknown.",
                width=3,
                height=12,
            ),
            Panel("Providers", "pie", "providers", "Interceptions by provider.", width=3, height=12),
            Panel(
                "Interceptions over time by user",
                "bars",
                "interceptions_over_time",
                "How many requests to models began, by user.",
            ),
            Panel("Tokens over time", "bars", "tokens_over_time", "Tokens by kind, at the start of their request."),
            Panel(
                "Tokens per model",
                "table",
                "tokens_by_model",
                "Tokens by provider and model. Without usage: interceptions for which the provider gave no numbers "
                "(the call failed, goes on, or was cut). Cache hit rate: the share of all input that came from the "
                "cache.",
                width=24,
                units={"Cache hit rate": "percentunit", **_TOKENS},
            ),
        ),
    ),
    Row(
        "Cost",
        (
            Panel(
                "Cost",
                "stat",
                "cost",
                "What is known of the cost. Responses whose price is not known are counted beside it: while there are "
                "any, the known cost is a lower bound.",
                width=6,
                units={"Known cost": "currencyUSD"},
            ),
            Panel(
                "Cost over time by model",
                "bars",
                "cost_over_time",
                "Known cost only. A model without a price has no bar.",
                unit="currencyUSD",
                width=18,
                unknown="no price is known",
            ),
            Panel(
                "Cost per model",
                "table",
                "cost_by_model",
                "By the model that answered. Models without a price stay in the list, with an unknown cost.",
                width=16,
                units={"Known cost": "currencyUSD", **_TOKENS},
            ),
            Panel(
                "Cost per user",
                "table",
                "cost_by_user",
                "Known cost per user, and how many responses have no price.",
                width=8,
                units={"Known cost": "currencyUSD"},
            ),
        ),
    ),
    Row(
        "Conversations",
        (
            Panel(
                "Sessions",
                "table",
                "sessions",
                "The 200 sessions with the newest prompts in this span; the numbers are of the whole session. Provider "
                "and model choose sessions that used them at all.",
                width=24,
                units=_TOKENS,
                empty=("Last prompt",),
            ),
            Panel(
                "Threads",
                "table",
                "threads",
                "The 200 threads with the newest requests: chains of requests in which each answers the tool calls of "
                "the one before. An agent is named where a sub-agent speaks. The numbers are of this span.",
                width=24,
                units={"Time of the model": "s", "From first to last": "s"},
                empty=("Agent",),
            ),
            Panel(
                "User prompts",
                "table",
                "prompts",
                "The 200 newest prompts that people typed, without what clients wrap round them.",
                width=24,
                unknown="",
            ),
            Panel(
                "Model thoughts",
                "table",
                "thoughts",
                "The 200 newest pieces of reasoning that providers showed. Hidden reasoning is only in token counts.",
                width=24,
                unknown="",
            ),
        ),
    ),
    Row(
        "Tools",
        (
            Panel(
                "Tool calls",
                "table",
                "tool_calls",
                "The 200 newest tool calls of models, with how they ended: read from the request that brought the "
                "result. Answered after: from the call to that request, people's consent included.",
                width=24,
                units={"Answered after": "s", "Result size": "bytes"},
                colors={"Result": _RESULTS},
                empty=("MCP server", "Error"),
            ),
            Panel(
                "Tools",
                "table",
                "tools",
                "Calls by tool. Not known: no result was seen, or the dialect does not say whether it is an error. The "
                "failure rate is of those known.",
                width=14,
                units={"Failure rate": "percentunit", "Answered after": "s", "Result size": "bytes"},
                empty=("MCP server",),
            ),
            Panel(
                "Tool results over time",
                "bars",
                "tool_results_over_time",
                "Tool calls by how they ended.",
                width=10,
                series_colors={**_RESULTS, "not known": "text"},
            ),
        ),
    ),
    Row(
        "Speed and cache",
        (
            Panel(
                "Cache hit rate",
                "lines",
                "cache_hit_rate_over_time",
                "The share of all input tokens that came from the provider's cache.",
                unit="percentunit",
                bridged=True,
            ),
            Panel(
                "Time to first token",
                "lines",
                "first_token_over_time",
                "From the end of a request to the first output: what half, and what 95 %, waited at most.",
                unit="s",
                bridged=True,
            ),
            Panel(
                "Speed per model",
                "table",
                "speed_by_model",
                "How long completed calls took: what half, and what 95 %, waited at most. Only streamed responses have "
                "a first token.",
                unit="s",
                width=24,
                units={"Completed": "short"},
            ),
        ),
    ),
    Row(
        "Errors and calls of clients' own",
        (
            Panel(
                "Errors over time by type",
                "bars",
                "errors_over_time",
                "Interceptions that failed, by kind of error.",
                width=18,
                unknown="no errors",
            ),
            Panel(
                "Outcomes",
                "pie",
                "outcomes",
                "How interceptions ended. Cancelled: the client went away first. Interrupted: the proxy stopped. "
                "in_flight: they go on.",
                width=6,
            ),
            Panel(
                "Calls of clients' own",
                "table",
                "purposes",
                "What clients ask for themselves, not the conversation: titles, summaries, routing (auxiliary), quota "
                "and token counting (probe). They are billed, so all sums of tokens and cost above contain them.",
                width=24,
                height=6,
                units={"Known cost": "currencyUSD", **_TOKENS},
            ),
            Panel(
                "Newest errors",
                "table",
                "errors",
                "The 200 newest interceptions that failed, with what the provider said.",
                unit="none",
                width=24,
                unknown="",
            ),
        ),
    ),
    Row(
        "Clients, hosts and people",
        (
            Panel(
                "Clients and versions",
                "table",
                "client_versions",
                "Which versions of which clients are in use. Where a client is not known, its User-Agent is.",
                width=24,
                empty=("User agent",),
            ),
            Panel(
                "Hosts",
                "table",
                "hosts",
                "Hosts that were seen in this span, with numbers since they were first seen. Decrypted: read. "
                "Observed: an AI host that passes unread, by rule. Tunnelled: any other host. Refused handshakes: a "
                "client does not trust the proxy's certificate.",
                width=24,
                units={"Sent unread": "bytes", "Received unread": "bytes"},
                unknown="",
            ),
            Panel(
                "Users",
                "table",
                "users",
                "Everybody the proxy knows, whether or not they used it in this span. Users who were removed keep "
                "their records.",
                width=12,
                unknown="never",
            ),
            Panel(
                "Proxy keys",
                "table",
                "keys",
                "Keys with their last characters, and what was asked with each in this span. The key itself is stored "
                "nowhere.",
                width=12,
                unknown="",
                colors={"State": {"live": "text", "expired": "orange", "revoked": "red"}},
            ),
        ),
    ),
)
