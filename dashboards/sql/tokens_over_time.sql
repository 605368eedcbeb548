SELECT $bucket(i.started_at) AS time,
       sum(t.input_tokens) AS "Input",
       sum(t.output_tokens) AS "Output",
       sum(t.cache_read_input_tokens) AS "Cache read",
       sum(t.cache_write_input_tokens) AS "Cache write"
FROM aibridge_interceptions i
JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1
ORDER BY 1
