SELECT $bucket(i.started_at) AS time,
       i.provider AS metric,
       $share(sum(t.cache_read_input_tokens), sum(t.input_tokens + t.cache_read_input_tokens + t.cache_write_input_tokens))
           AS value
FROM aibridge_interceptions i
JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1, 2
ORDER BY 1, 2
