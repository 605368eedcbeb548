SELECT $bucket(i.started_at) AS time,
       CASE WHEN t.invocation_error IS NOT NULL THEN 'error' ELSE coalesce(t.result_status, 'not known') END AS metric,
       count(*) AS value
FROM aibridge_interceptions i
JOIN aibridge_tool_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1, 2
ORDER BY 1, 2
