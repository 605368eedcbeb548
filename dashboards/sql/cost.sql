SELECT $dollars(sum(t.cost_micros)) AS "Known cost",
       count(t.cost_micros) AS "Priced responses",
       count(*) - count(t.cost_micros) AS "Without a price"
FROM aibridge_interceptions i
JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
