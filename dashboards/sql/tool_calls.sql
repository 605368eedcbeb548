SELECT $moment(t.created_at) AS "Created at",
       coalesce(u.username, CAST(i.initiator_id AS text)) AS "Username",
       coalesce(i.client, 'Unknown') AS "Client",
       i.provider AS "Provider",
       i.model AS "Model",
       t.kind AS "Kind",
       t.server_url AS "MCP server",
       t.tool AS "Tool",
       t.input AS "Tool input",
       CASE WHEN t.invocation_error IS NOT NULL THEN 'error' ELSE t.result_status END AS "Result",
       t.invocation_error AS "Error",
       $seconds(t.created_at, t.result_at) AS "Answered after",
       t.result_bytes AS "Result size",
       CAST(i.id AS text) AS "Interception"
FROM aibridge_interceptions i
JOIN aibridge_tool_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
ORDER BY i.started_at DESC, t.id DESC
LIMIT 200
