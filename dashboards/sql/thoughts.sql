SELECT $moment(h.created_at) AS "Created at",
       coalesce(u.username, CAST(i.initiator_id AS text)) AS "Username",
       coalesce(i.client, 'Unknown') AS "Client",
       i.provider AS "Provider",
       i.model AS "Model",
       h.metadata ->> 'source' AS "Source",
       h.content AS "Thought",
       CAST(i.id AS text) AS "Interception"
FROM aibridge_interceptions i
JOIN aibridge_model_thoughts h ON h.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
ORDER BY i.started_at DESC, h.id DESC
LIMIT 200
