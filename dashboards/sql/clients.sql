SELECT coalesce(i.client, 'Unknown') AS "Client", count(*) AS "Interceptions"
FROM aibridge_interceptions i
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 20
