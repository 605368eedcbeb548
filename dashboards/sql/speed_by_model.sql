WITH ranked AS (
    SELECT i.provider, i.model, i.time_to_first_token, i.duration,
           row_number() OVER (PARTITION BY i.provider, i.model, i.time_to_first_token IS NULL
                              ORDER BY i.time_to_first_token) AS first_place,
           row_number() OVER (PARTITION BY i.provider, i.model ORDER BY i.duration) AS place,
           count(i.time_to_first_token) OVER (PARTITION BY i.provider, i.model) AS first_places,
           count(*) OVER (PARTITION BY i.provider, i.model) AS places
    FROM aibridge_interceptions i
    LEFT JOIN users u ON u.id = i.initiator_id
    WHERE $during(i.started_at) AND $chosen() AND i.outcome = 'completed' AND i.duration IS NOT NULL
)
SELECT provider AS "Provider",
       model AS "Model",
       count(*) AS "Completed",
       min(CASE WHEN first_place * 100 >= first_places * 50 THEN time_to_first_token END) AS "First token, half within",
       min(CASE WHEN first_place * 100 >= first_places * 95 THEN time_to_first_token END) AS "First token, 95 % within",
       min(CASE WHEN place * 100 >= places * 50 THEN duration END) AS "Whole response, half within",
       min(CASE WHEN place * 100 >= places * 95 THEN duration END) AS "Whole response, 95 % within"
FROM ranked
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
LIMIT 200
