SELECT i.purpose AS "Purpose",
       coalesce(i.client, 'Unknown') AS "Client",
       i.model AS "Model",
       count(DISTINCT i.id) AS "Interceptions",
       sum(t.input_tokens) AS "Input",
       sum(t.output_tokens) AS "Output",
       sum(t.cache_read_input_tokens) AS "Cache read",
       sum(t.cache_write_input_tokens) AS "Cache write",
       $dollars(sum(t.cost_micros)) AS "Known cost"
FROM aibridge_interceptions i
LEFT JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen() AND i.purpose <> 'conversation'
GROUP BY 1, 2, 3
ORDER BY 4 DESC, 1, 2, 3
LIMIT 200
