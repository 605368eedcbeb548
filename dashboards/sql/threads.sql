SELECT $moment(max(i.started_at)) AS "Last request",
       coalesce(u.username, CAST(i.initiator_id AS text)) AS "Username",
       coalesce(min(i.client), 'Unknown') AS "Client",
       max(i.metadata ->> 'agent') AS "Agent",
       count(*) AS "Interceptions",
       sum((SELECT count(*) FROM aibridge_tool_usages t WHERE t.interception_id = i.id)) AS "Tool calls",
       count(CASE WHEN i.outcome = 'failed' THEN 1 END) AS "Errors",
       sum(i.duration) AS "Time of the model",
       $seconds(min(i.started_at), max(coalesce(i.ended_at, i.started_at))) AS "From first to last",
       i.session_id AS "Session",
       CAST(coalesce(i.thread_root_id, i.id) AS text) AS "Thread"
FROM aibridge_interceptions i
LEFT JOIN users u ON u.id = i.initiator_id
WHERE $during(i.started_at) AND $chosen() AND i.purpose = 'conversation'
GROUP BY coalesce(i.thread_root_id, i.id), i.session_id, i.initiator_id, u.username
ORDER BY max(i.started_at) DESC, coalesce(i.thread_root_id, i.id)
LIMIT 200
