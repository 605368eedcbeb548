SELECT $bucket(i.started_at) AS time,
       i.model AS metric,
       $dollars(sum(t.cost_micros)) AS value
FROM aibridge_interceptions i
JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1, 2
HAVING sum(t.cost_micros) IS NOT NULL
ORDER BY 1, 2
