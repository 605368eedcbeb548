WITH used AS (
    SELECT i.api_key_id, count(*) AS interceptions
    FROM aibridge_interceptions i
    LEFT JOIN users u ON u.id = i.initiator_id
    WHERE $during(i.started_at) AND $chosen() AND i.api_key_id IS NOT NULL
    GROUP BY i.api_key_id
)
SELECT u.username AS "Username",
       nullif(k.name, '') AS "Name",
       k.hint AS "Ends in",
       CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
            WHEN k.expires_at <= $now() THEN 'expired'
            ELSE 'live' END AS "State",
       coalesce(used.interceptions, 0) AS "Interceptions",
       $moment(k.last_used_at) AS "Last used",
       $moment(k.created_at) AS "Created",
       $moment(k.expires_at) AS "Expires"
FROM aitap_keys k
LEFT JOIN users u ON u.id = k.user_id
LEFT JOIN used ON used.api_key_id = k.id
WHERE $picked(username, u.username)
ORDER BY k.last_used_at DESC NULLS LAST, k.id
LIMIT 500
