SELECT $moment(p.created_at) AS "Created at",
       coalesce(u.username, CAST(i.initiator_id AS text)) AS "Username",
       coalesce(i.client, 'Unknown') AS "Client",
       i.provider AS "Provider",
       i.model AS "Model",
       p.prompt AS "Prompt",
       CAST(i.id AS text) AS "Interception"
FROM aibridge_interceptions i
JOIN aibridge_user_prompts p ON p.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen() AND i.purpose = 'conversation' AND i.metadata ->> 'agent' IS NULL
ORDER BY i.started_at DESC, p.id DESC
LIMIT 200
