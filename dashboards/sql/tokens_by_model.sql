SELECT i.provider AS "Provider",
       i.model AS "Model",
       count(DISTINCT i.id) AS "Interceptions",
       count(DISTINCT CASE WHEN t.id IS NULL THEN i.id END) AS "Without usage",
       sum(t.input_tokens) AS "Input",
       sum(t.output_tokens) AS "Output",
       sum(t.cache_read_input_tokens) AS "Cache read",
       sum(t.cache_write_input_tokens) AS "Cache write",
       $share(sum(t.cache_read_input_tokens), sum(t.input_tokens + t.cache_read_input_tokens + t.cache_write_input_tokens))
           AS "Cache hit rate"
FROM aibridge_interceptions i
LEFT JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
LIMIT 200
