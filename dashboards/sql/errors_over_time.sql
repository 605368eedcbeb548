SELECT $bucket(i.started_at) AS time,
       coalesce(i.error_type, 'unknown') AS metric,
       count(*) AS value
FROM aibridge_interceptions i
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen() AND i.outcome = 'failed'
GROUP BY 1, 2
ORDER BY 1, 2
