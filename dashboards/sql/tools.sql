SELECT t.tool AS "Tool",
       t.server_url AS "MCP server",
       count(*) AS "Calls",
       count(CASE WHEN t.invocation_error IS NULL AND t.result_status = 'ok' THEN 1 END) AS "Succeeded",
       count(CASE WHEN t.invocation_error IS NOT NULL OR t.result_status = 'error' THEN 1 END) AS "Failed",
       count(CASE WHEN t.invocation_error IS NULL AND t.result_status IS NULL THEN 1 END) AS "Not known",
       $share(count(CASE WHEN t.invocation_error IS NOT NULL OR t.result_status = 'error' THEN 1 END),
              count(CASE WHEN t.invocation_error IS NOT NULL OR t.result_status IS NOT NULL THEN 1 END)) AS "Failure rate",
       avg($seconds(t.created_at, t.result_at)) AS "Answered after",
       sum(t.result_bytes) AS "Result size"
FROM aibridge_interceptions i
JOIN aibridge_tool_usages t ON t.interception_id = i.id
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen()
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
LIMIT 200
