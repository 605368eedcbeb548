SELECT i.provider AS "Provider",
       coalesce(t.provider_model, i.model) AS "Model",
       count(*) AS "Responses",
       count(*) - count(t.cost_micros) AS "Without a price",
       sum(t.input_tokens) AS "Input",
       sum(t.output_tokens) AS "Output",
       sum(t.cache_read_input_tokens) AS "Cache read",
       sum(t.cache_write_input_tokens) AS "Cache write",
       $dollars(sum(t.cost_micros)) AS "Known cost"
FROM aibridge_interceptions i
JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1, 2
ORDER BY sum(t.cost_micros) DESC NULLS LAST, 3 DESC, 1, 2
LIMIT 200
