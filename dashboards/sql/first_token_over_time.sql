WITH waited AS (
    SELECT $bucket(i.started_at) AS time, i.time_to_first_token AS seconds
    FROM aibridge_interceptions i
    LEFT JOIN users u ON u.id = i.initiator_id
    WHERE $during(i.started_at) AND $chosen() AND i.time_to_first_token IS NOT NULL
), ranked AS (
    SELECT time, seconds,
           row_number() OVER (PARTITION BY time ORDER BY seconds) AS place,
           count(*) OVER (PARTITION BY time) AS places
    FROM waited
)
SELECT time,
       min(CASE WHEN place * 100 >= places * 50 THEN seconds END) AS "Half within",
       min(CASE WHEN place * 100 >= places * 95 THEN seconds END) AS "95 % within"
FROM ranked
GROUP BY time
ORDER BY time
