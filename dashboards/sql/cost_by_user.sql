SELECT coalesce(u.username, CAST(i.initiator_id AS text)) AS "Username",
       count(*) AS "Responses",
       count(*) - count(t.cost_micros) AS "Without a price",
       $dollars(sum(t.cost_micros)) AS "Known cost"
FROM aibridge_interceptions i
JOIN aibridge_token_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1
ORDER BY sum(t.cost_micros) DESC NULLS LAST, 2 DESC, 1
LIMIT 200
