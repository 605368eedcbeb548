SELECT DISTINCT k.model
FROM aitap_kinds k
WHERE $picked(provider, k.provider)
  AND EXISTS (SELECT 1 FROM aibridge_interceptions i WHERE i.kind_id = k.id AND $during(i.started_at))
ORDER BY 1
