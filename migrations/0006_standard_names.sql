-- Standard names for tables, columns and stored values; expiry as a column; memberships per person; blocked
-- users. Never edit this file; add the next number.

ALTER TABLE brakes RENAME TO circuit_breakers;
ALTER TABLE circuit_breakers RENAME COLUMN set_at TO opened_at;
ALTER TABLE circuit_breakers RENAME COLUMN asked TO total;
ALTER TABLE circuit_breakers RENAME COLUMN confirmed_at TO closed_at;
ALTER TABLE circuit_breakers RENAME COLUMN confirmed_by TO closed_by;

ALTER TABLE participants RENAME TO logout_participants;

ALTER TABLE notices RENAME TO logout_notifications;
ALTER TABLE logout_notifications RENAME COLUMN tries TO attempts;
DROP INDEX notices_due;
DROP INDEX notices_created;
CREATE INDEX logout_notifications_due ON logout_notifications (client_id, due_at);
-- For the collector.
CREATE INDEX logout_notifications_created ON logout_notifications (created_at);

ALTER TABLE sessions RENAME COLUMN basis TO fingerprint;
ALTER TABLE sessions RENAME COLUMN wants TO login_scopes;
ALTER TABLE sessions RENAME COLUMN ended_why TO ended_reason;
ALTER TABLE grants RENAME COLUMN ended_why TO ended_reason;
ALTER TABLE consents RENAME COLUMN given_at TO granted_at;

UPDATE sessions SET ended_reason = 'fingerprint_changed' WHERE ended_reason = 'basis_changed';
UPDATE sessions SET ended_reason = 'ended_by_user' WHERE ended_reason = 'ended_by_person';
UPDATE grants SET ended_reason = 'fingerprint_changed' WHERE ended_reason = 'basis_changed';
UPDATE grants SET ended_reason = 'ended_by_user' WHERE ended_reason = 'ended_by_person';
UPDATE events SET reason = 'fingerprint_changed' WHERE reason = 'basis_changed';
UPDATE events SET reason = 'ended_by_user' WHERE reason = 'ended_by_person';
UPDATE events SET kind = 'circuit_breaker_opened' WHERE kind = 'brake_set';
UPDATE events SET kind = 'circuit_breaker_closed' WHERE kind = 'brake_released';
UPDATE events SET kind = 'logout_notification_failed' WHERE kind = 'notice_given_up';
UPDATE events SET kind = 'database_restored' WHERE kind = 'database_went_back';

-- A step of a trace begins with its kind, and a quotation mark within its text is escaped, so that only
-- kinds are replaced.
UPDATE traces SET trace = REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(trace,
    '{"kind":"asked"', '{"kind":"request"'),
    '{"kind":"answered"', '{"kind":"response"'),
    '{"kind":"kept"', '{"kind":"included"'),
    '{"kind":"dropped"', '{"kind":"excluded"'),
    '{"kind":"noted"', '{"kind":"note"');

-- When the collector next examines a row: it either deletes it then, or sets a later instant. Refreshing
-- tokens changes neither this column nor any other indexed one, so that PostgreSQL updates such a row
-- without touching its indexes (a heap-only tuple).
ALTER TABLE sessions ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
UPDATE sessions SET expires_at = cookie_until;
DROP INDEX sessions_ended;
DROP INDEX sessions_cookie_until;
CREATE INDEX sessions_expires ON sessions (expires_at);
ALTER TABLE grants ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
UPDATE grants SET expires_at = tokens_until;
DROP INDEX grants_ended;
DROP INDEX grants_short;
DROP INDEX grants_rotated;
DROP INDEX grants_created;
CREATE INDEX grants_expires ON grants (expires_at);

-- Live sessions, for ending them in batches and for counting them.
CREATE INDEX sessions_live ON sessions (created_at, id) WHERE ended_at IS NULL;
-- What an opened circuit breaker resets.
CREATE INDEX sessions_missing ON sessions (connector_id, missing_since) WHERE missing_since IS NOT NULL;

-- One interval in which a person had a group: from the first session with it until no live session has it.
-- Tokens that name the group expire at `tokens_until`. Both are null while it is held. Outlives the sessions.
CREATE TABLE group_memberships (
    id           TEXT   NOT NULL PRIMARY KEY,
    connector_id TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    group_name   TEXT   NOT NULL,
    since        BIGINT NOT NULL,
    until        BIGINT,
    tokens_until BIGINT,
    person       TEXT   NOT NULL
);
INSERT INTO group_memberships (id, connector_id, user_id, group_name, since, until, tokens_until, person)
SELECT 'm' || CAST(ROW_NUMBER() OVER (ORDER BY connector_id, user_id, group_name, since) AS TEXT),
    connector_id, user_id, group_name, since,
    NULLIF(until, 9223372036854775807), NULLIF(tokens_until, 9223372036854775807), person
FROM (
    SELECT connector_id, user_id, group_name, MIN(since) AS since, MAX(until) AS until,
        MAX(tokens_until) AS tokens_until, MAX(person) AS person
    FROM (
        SELECT connector_id, user_id, group_name, since, until, tokens_until, person,
            SUM(CASE WHEN latest IS NULL OR latest < since THEN 1 ELSE 0 END) OVER (
                PARTITION BY connector_id, user_id, group_name ORDER BY since, session_id) AS island
        FROM (
            SELECT connector_id, user_id, group_name, session_id, since, person,
                COALESCE(until, 9223372036854775807) AS until,
                COALESCE(tokens_until, 9223372036854775807) AS tokens_until,
                MAX(COALESCE(until, 9223372036854775807)) OVER (
                    PARTITION BY connector_id, user_id, group_name ORDER BY since, session_id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest
            FROM memberships
        ) AS ordered
    ) AS numbered
    GROUP BY connector_id, user_id, group_name, island
) AS merged;
DROP TABLE memberships;
ALTER TABLE group_memberships RENAME TO memberships;
CREATE UNIQUE INDEX memberships_open ON memberships (connector_id, user_id, group_name)
    WHERE tokens_until IS NULL;
CREATE INDEX memberships_group ON memberships (group_name, since, id);
-- For the collector.
CREATE INDEX memberships_expires ON memberships (tokens_until) WHERE tokens_until IS NOT NULL;

-- A person who may not sign in, refresh tokens or use a cluster, however valid what they hold is.
CREATE TABLE blocked_users (
    connector_id TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    blocked_at   BIGINT NOT NULL,
    blocked_by   TEXT   NOT NULL,
    expires_at   BIGINT,
    PRIMARY KEY (connector_id, user_id)
);
-- For the collector.
CREATE INDEX blocked_users_expires ON blocked_users (expires_at) WHERE expires_at IS NOT NULL;

-- The log by connector, and by those kinds that are too rare to be found by walking the whole log.
CREATE INDEX events_connector ON events (connector_id, id) WHERE connector_id IS NOT NULL;
CREATE INDEX events_rare_kind ON events (kind, id) WHERE kind NOT IN
    ('signed_in', 'reauthenticated', 'signed_out', 'session_ended', 'grant_ended', 'groups_changed');
