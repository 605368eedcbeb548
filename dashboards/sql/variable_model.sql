WITH RECURSIVE every(model) AS (
    SELECT min(model) FROM aibridge_interceptions
    UNION ALL
    SELECT (SELECT min(i.model) FROM aibridge_interceptions i WHERE i.model > every.model)
    FROM every WHERE every.model IS NOT NULL
)
SELECT every.model
FROM every
WHERE every.model IS NOT NULL
  AND EXISTS (SELECT 1 FROM aibridge_interceptions i
              WHERE i.model = every.model AND $during(i.started_at) AND $picked(provider, i.provider))
ORDER BY 1
