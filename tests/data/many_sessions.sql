-- Four sign-ins each of many people at the connector `local`, over the last thirty days, with what they were issued.
-- The first person's name contains markup and a bidirectional override. COUNT and NOW are replaced by the number of
-- sessions and the time in milliseconds; for the program sqlite3, on a database that is migrated already.
.timeout 20000
BEGIN IMMEDIATE;
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < COUNT),
  first (k, name) AS (VALUES (0,'Ada'),(1,'Grace'),(2,'Katherine'),(3,'Margaret'),(4,'Barbara'),
    (5,'Radia'),(6,'Frances'),(7,'Hedy'),(8,'Joan'),(9,'Karen')),
  last (k, name) AS (VALUES (0,'Lovelace'),(1,'Hopper'),(2,'Johnson'),(3,'Hamilton'),(4,'Liskov'),
    (5,'Perlman'),(6,'Allen'),(7,'Lamarr'),(8,'Clarke'),(9,'Jones')),
  agent (k, text) AS (VALUES
    (0,'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'),
    (1,'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.5 Safari/605.1.15'),
    (2,'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Safari/604.1'),
    (3,'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0')),
  one AS (SELECT i, i / 4 AS p, NOW - 60000 - i * 25920 AS at,
    CASE WHEN i / 4 = 0 THEN '<img src=x onerror=alert(1)>' || char(8238) || 'gpj.exe'
      ELSE first.name || ' ' || last.name || ' ' || (i / 4) END AS name,
    lower(first.name) || '.' || lower(last.name) || '.' || (i / 4) AS login, agent.text AS agent
    FROM n, first, last, agent
    WHERE first.k = i / 4 % 10 AND last.k = i / 40 % 10 AND agent.k = i % 4)
INSERT INTO sessions (id, connector_id, user_id, identity, identity_at, fingerprint, login_scopes,
  auth_time, created_at, last_seen, browser_seen, cookie_until, expires_at, ip, user_agent, ended_at, ended_by,
  ended_reason, user_key, login, email, search)
SELECT 'crowd-' || i, 'local', 'id-' || p,
  json_object('user_id', 'id-' || p, 'username', name, 'preferred_username', login,
    'email', login || '@example.com', 'email_verified', json('true'),
    'groups', json_array('staff', 'team-' || (p % 97))),
  at, '', '{"offline":true,"groups":true}', at, at, min(NOW, at + 600000 * (i % 3)), at, at + 86400000, at + 86400000,
  '10.' || (i % 200) || '.' || (i / 200 % 250) || '.7', agent,
  CASE WHEN i % 9 = 5 THEN min(NOW, at + 900000) END, CASE WHEN i % 9 = 5 THEN 'user:id-' || p || '@local' END,
  CASE WHEN i % 9 = 5 THEN 'signed_out' END,
  'id-' || p, login, login || '@example.com',
  lower(name) || ' ' || login || ' ' || login || '@example.com id-' || p FROM one;
INSERT INTO grants (id, session_id, client_id, scopes, auth_time, refreshable, generation, mac_key,
  created_at, rotated_at, tokens_until, expires_at, ended_at, ended_by, ended_reason)
SELECT 'grant-' || id, id, 'kubernetes', '["openid","groups","offline_access"]', created_at, 1, 1, 1,
  created_at, last_seen, last_seen + 600000, last_seen + 600000, ended_at, ended_by, ended_reason FROM sessions
  WHERE id LIKE 'crowd-%';
INSERT INTO memberships (id, connector_id, user_id, group_name, since, person)
SELECT 'crowd-' || user_id, connector_id, user_id, json_extract(identity, '$.groups[1]'), min(created_at),
  json_extract(identity, '$.username') FROM sessions WHERE id LIKE 'crowd-%' GROUP BY connector_id, user_id;
COMMIT;
