-- What it takes to find sessions among a hundred thousand, and who had a group when. Never edit this
-- file; add the next number.

-- In lower case, as the program spells it, which no engine's lower() does alike: who the person is by
-- user id, login and e-mail address, and all of it in one text to be searched. Null only in rows that an
-- earlier version wrote; the next start fills them in.
ALTER TABLE sessions ADD COLUMN user_key TEXT;
ALTER TABLE sessions ADD COLUMN login TEXT;
ALTER TABLE sessions ADD COLUMN email TEXT;
ALTER TABLE sessions ADD COLUMN search TEXT;
CREATE INDEX sessions_unfilled ON sessions (id) WHERE search IS NULL;
CREATE INDEX sessions_user_key ON sessions (user_key);
CREATE INDEX sessions_login ON sessions (login);
CREATE INDEX sessions_email ON sessions (email);
-- Newest first, page by page; none of these changes when a session gives something.
CREATE INDEX sessions_newest ON sessions (created_at, id);
CREATE INDEX sessions_connector ON sessions (connector_id, created_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_ip ON sessions (ip, created_at, id) WHERE ended_at IS NULL;
CREATE INDEX grants_client ON grants (client_id, session_id) WHERE ended_at IS NULL;

-- From when to when somebody held a group in a session: the claim `groups` said so since then; since
-- `until` nothing new does. Tokens that may still say so die at `tokens_until`. Both null while it is held.
-- It outlives the session, as the events do.
CREATE TABLE memberships (
    session_id   TEXT   NOT NULL,
    group_name   TEXT   NOT NULL,
    since        BIGINT NOT NULL,
    until        BIGINT,
    tokens_until BIGINT,
    connector_id TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    person       TEXT   NOT NULL,
    PRIMARY KEY (session_id, group_name, since)
);
CREATE INDEX memberships_group ON memberships (group_name, since, session_id);
-- For the collector.
CREATE INDEX memberships_over ON memberships (tokens_until) WHERE tokens_until IS NOT NULL;

-- The log by what an administrator has in hand; session and person have theirs.
CREATE INDEX events_actor ON events (actor, id);
CREATE INDEX events_grant ON events (grant_id, id) WHERE grant_id IS NOT NULL;
CREATE INDEX events_client ON events (client_id, id) WHERE client_id IS NOT NULL;
CREATE INDEX events_ip ON events (ip, id) WHERE ip IS NOT NULL;
