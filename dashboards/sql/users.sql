WITH used AS (
    SELECT i.initiator_id, count(*) AS interceptions, count(DISTINCT i.session_id) AS sessions,
           max(i.started_at) AS last_request
    FROM aibridge_interceptions i
    LEFT JOIN users u ON u.id = i.initiator_id
    WHERE $during(i.started_at) AND $chosen()
    GROUP BY i.initiator_id
), held AS (
    SELECT user_id,
           count(CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $now()) THEN 1 END) AS live,
           max(last_used_at) AS last_used
    FROM aitap_keys
    GROUP BY user_id
)
SELECT u.username AS "Username",
       u.source AS "Known from",
       CASE WHEN u.deleted THEN 'removed' ELSE 'live' END AS "State",
       coalesce(used.interceptions, 0) AS "Interceptions",
       coalesce(used.sessions, 0) AS "Sessions",
       $moment(used.last_request) AS "Last request",
       coalesce(held.live, 0) AS "Live keys",
       $moment(held.last_used) AS "Key last used"
FROM users u
LEFT JOIN used ON used.initiator_id = u.id
LEFT JOIN held ON held.user_id = u.id
WHERE $picked(username, u.username)
ORDER BY coalesce(used.interceptions, 0) DESC, 1
LIMIT 500
