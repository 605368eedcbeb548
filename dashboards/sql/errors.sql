SELECT $moment(i.started_at) AS "Started at",
       coalesce(u.username, CAST(i.initiator_id AS text)) AS "Username",
       coalesce(i.client, 'Unknown') AS "Client",
       i.provider AS "Provider",
       i.model AS "Model",
       coalesce(i.error_type, 'unknown') AS "Error",
       i.status_code AS "Status",
       i.error_message AS "Message",
       CAST(i.id AS text) AS "Interception"
FROM aibridge_interceptions i
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen() AND i.outcome = 'failed'
ORDER BY i.started_at DESC, i.id DESC
LIMIT 200
