WITH chosen AS (
    SELECT i.id, i.initiator_id, i.session_id, i.purpose, i.metadata ->> 'agent' AS agent,
           coalesce(i.thread_root_id, i.id) AS thread_id
    FROM aibridge_interceptions i
    LEFT JOIN users u ON u.id = i.initiator_id
    WHERE $during(i.started_at) AND $chosen()
)
SELECT (SELECT count(*) FROM chosen) AS "Interceptions",
       (SELECT count(DISTINCT initiator_id) FROM chosen) AS "Users",
       (SELECT count(*) FROM (SELECT DISTINCT session_id, initiator_id FROM chosen) AS s) AS "Sessions",
       (SELECT count(DISTINCT thread_id) FROM chosen WHERE purpose = 'conversation') AS "Threads",
       (SELECT count(*) FROM chosen c JOIN aibridge_user_prompts p ON p.interception_id = c.id
        WHERE c.purpose = 'conversation' AND c.agent IS NULL) AS "Prompts",
       (SELECT count(*) FROM chosen c JOIN aibridge_tool_usages t ON t.interception_id = c.id) AS "Tool calls",
       (SELECT count(*) FROM chosen c JOIN aibridge_model_thoughts t ON t.interception_id = c.id) AS "Thoughts"
