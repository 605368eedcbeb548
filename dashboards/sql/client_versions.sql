SELECT coalesce(i.client, 'Unknown') AS "Client",
       i.client_version AS "Version",
       count(*) AS "Interceptions",
       count(DISTINCT i.initiator_id) AS "Users",
       $moment(max(i.started_at)) AS "Last seen",
       CASE WHEN i.client IS NULL THEN max(i.user_agent) END AS "User agent"
FROM aibridge_interceptions i
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY i.client, i.client_version
ORDER BY 3 DESC, 1, 2 NULLS LAST
LIMIT 200
