SELECT DISTINCT coalesce(nullif(client, ''), 'Unknown') AS client FROM aitap_hosts WHERE mode = 'decrypted' ORDER BY 1
