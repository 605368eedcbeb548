SELECT h.host AS "Host",
       h.mode AS "Mode",
       nullif(max(h.provider), '') AS "Provider",
       count(DISTINCT h.initiator_id) AS "Users",
       sum(h.interceptions) AS "Interceptions",
       sum(h.connections) AS "Tunnels",
       sum(h.bytes_sent) AS "Sent unread",
       sum(h.bytes_received) AS "Received unread",
       sum(h.refusals) AS "Refused handshakes",
       nullif(max(h.error), '') AS "Why refused",
       $moment(max(h.last_seen)) AS "Last seen"
FROM aitap_hosts h
LEFT JOIN users u ON u.id = h.initiator_id
WHERE h.last_seen >= $from() AND h.first_seen <= $to()
  AND $picked(username, coalesce(u.username, CAST(h.initiator_id AS text)))
  AND $picked(provider, h.provider)
  AND $picked(client, coalesce(nullif(h.client, ''), 'Unknown'))
GROUP BY h.host, h.mode
ORDER BY max(h.last_seen) DESC, 1, 2
LIMIT 500
