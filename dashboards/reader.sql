-- A user for dashboards: it may read the records and change nothing. Conversations (aitap_messages) and the digests of
-- proxy keys are out of its reach. Run it as the owner of the tables, in the database of the records, once the proxy
-- has made them, and again after an upgrade; then set a password: \password aitap_reader

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aitap_reader') THEN
        CREATE ROLE aitap_reader LOGIN;
    END IF;
END
$$;

ALTER ROLE aitap_reader SET default_transaction_read_only = on;
ALTER ROLE aitap_reader SET statement_timeout = '60s';

GRANT USAGE ON SCHEMA public TO aitap_reader;
GRANT SELECT ON
    users,
    aibridge_interceptions,
    aibridge_token_usages,
    aibridge_user_prompts,
    aibridge_tool_usages,
    aibridge_model_thoughts,
    aitap_sessions,
    aitap_kinds,
    aitap_hosts
TO aitap_reader;
GRANT SELECT (id, user_id, name, hint, created_at, expires_at, revoked_at, last_used_at) ON aitap_keys TO aitap_reader;
