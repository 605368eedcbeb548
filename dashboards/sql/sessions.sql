SELECT $moment(s.last_active_at) AS "Last active",
       coalesce(u.username, CAST(s.initiator_id AS text)) AS "Username",
       coalesce(s.client, 'Unknown') AS "Client",
       $listed(s.providers) AS "Providers",
       $listed(s.models) AS "Models",
       s.last_prompt AS "Last prompt",
       s.threads AS "Threads",
       s.prompts AS "Prompts",
       s.interceptions AS "Interceptions",
       s.tool_calls AS "Tool calls",
       s.errors AS "Errors",
       s.input_tokens AS "Input",
       s.output_tokens AS "Output",
       s.cache_read_input_tokens AS "Cache read",
       s.cache_write_input_tokens AS "Cache write",
       $moment(s.started_at) AS "Started",
       s.session_id AS "Session"
FROM aitap_sessions s
LEFT JOIN users u ON u.id = s.initiator_id
WHERE $during(s.last_active_at)
  AND $picked(username, coalesce(u.username, CAST(s.initiator_id AS text)))
  AND $picked(client, coalesce(s.client, 'Unknown'))
  AND ($all(provider) OR EXISTS (SELECT 1 FROM $each(s.providers) WHERE $picked(provider, one.value)))
  AND ($all(model) OR EXISTS (SELECT 1 FROM $each(s.models) WHERE $picked(model, one.value)))
ORDER BY s.last_active_at DESC, s.session_id
LIMIT 200
