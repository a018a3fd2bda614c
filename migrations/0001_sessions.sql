-- One text for SQLite and PostgreSQL: columns are TEXT or BIGINT, times are UTC milliseconds,
-- lists and objects are JSON text, ids are text. Never edit this file; add the next number.

-- A signing key pair. The unique number makes replicas agree on one.
CREATE TABLE signing_keys (
    number           BIGINT NOT NULL PRIMARY KEY,
    kid              TEXT   NOT NULL UNIQUE,
    algorithm        TEXT   NOT NULL,
    public_jwk       TEXT   NOT NULL,
    private_key      TEXT   NOT NULL,
    created_at       BIGINT NOT NULL,
    signs_from       BIGINT NOT NULL,
    longest_lifetime BIGINT NOT NULL
);

-- A sealing or MAC key, sealed under the root key.
CREATE TABLE secrets (
    purpose    TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    value      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, number)
);

-- One sign-in by one browser. cookie_hash is null once the browser's half is over. last_seen is when
-- anything was given; browser_seen is when the browser was there for it, not a refresh token.
CREATE TABLE sessions (
    id             TEXT   NOT NULL PRIMARY KEY,
    connector_id   TEXT   NOT NULL,
    user_id        TEXT   NOT NULL,
    identity       TEXT   NOT NULL,
    identity_at    BIGINT NOT NULL,
    basis          TEXT   NOT NULL,
    wants          TEXT   NOT NULL,
    upstream       TEXT,
    upstream_lease BIGINT,
    auth_time      BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    last_seen      BIGINT NOT NULL,
    browser_seen   BIGINT NOT NULL,
    cookie_hash    TEXT,
    cookie_until   BIGINT NOT NULL,
    ip             TEXT   NOT NULL,
    user_agent     TEXT   NOT NULL,
    missing_since  BIGINT,
    ended_at       BIGINT,
    ended_by       TEXT,
    ended_why      TEXT
);
CREATE UNIQUE INDEX sessions_cookie ON sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;
CREATE INDEX sessions_person ON sessions (user_id, connector_id);
-- For the collector: what is over, and what no browser holds any more.
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_cookie_until ON sessions (cookie_until) WHERE ended_at IS NULL;

-- What one redeemed code gave one client. Not unique on (session, client): a second laptop
-- never logs out the first.
CREATE TABLE grants (
    id           TEXT   NOT NULL PRIMARY KEY,
    session_id   TEXT   NOT NULL REFERENCES sessions (id),
    client_id    TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    nonce        TEXT,
    auth_time    BIGINT NOT NULL,
    refreshable  BIGINT NOT NULL,
    generation   BIGINT NOT NULL,
    mac_key      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    rotated_at   BIGINT NOT NULL,
    tokens_until BIGINT NOT NULL,
    ended_at     BIGINT,
    ended_by     TEXT,
    ended_why    TEXT
);
CREATE INDEX grants_session ON grants (session_id, client_id);
CREATE INDEX grants_mac_key ON grants (mac_key) WHERE refreshable = 1 AND ended_at IS NULL;
-- For the collector: what ends with its last token, and what has limits of its own.
CREATE INDEX grants_ended ON grants (tokens_until) WHERE ended_at IS NOT NULL;
CREATE INDEX grants_short ON grants (tokens_until) WHERE refreshable = 0;
CREATE INDEX grants_rotated ON grants (rotated_at) WHERE refreshable = 1;
CREATE INDEX grants_created ON grants (created_at) WHERE refreshable = 1;

-- An authorization code. The unique request lets a request finish once; a refusal is a row that was
-- used without a grant. A used code stays while its grant does, to recognise a second use however late.
-- Deferred, because the code is used up before its grant is written.
CREATE TABLE codes (
    hash         TEXT   NOT NULL PRIMARY KEY,
    request_id   TEXT   NOT NULL UNIQUE,
    session_id   TEXT   NOT NULL REFERENCES sessions (id),
    client_id    TEXT   NOT NULL,
    redirect_uri TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    nonce        TEXT,
    challenge    TEXT,
    auth_time    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT,
    grant_id     TEXT   REFERENCES grants (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX codes_session ON codes (session_id);
CREATE INDEX codes_grant ON codes (grant_id) WHERE grant_id IS NOT NULL;
-- For the collector, which never looks at those that a grant keeps.
CREATE INDEX codes_expires ON codes (expires_at) WHERE grant_id IS NULL;

-- What somebody allowed a client, once and for all.
CREATE TABLE consents (
    user_id      TEXT   NOT NULL,
    connector_id TEXT   NOT NULL,
    client_id    TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    session_id   TEXT   NOT NULL,
    given_at     BIGINT NOT NULL,
    PRIMARY KEY (user_id, connector_id, client_id)
);

-- The audit log, append only. An id begins with its time, so it orders and bounds by itself.
CREATE TABLE events (
    id           TEXT   NOT NULL PRIMARY KEY,
    at           BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    session_id   TEXT,
    grant_id     TEXT,
    client_id    TEXT,
    connector_id TEXT,
    user_id      TEXT,
    ip           TEXT,
    reason       TEXT,
    details      TEXT   NOT NULL
);
CREATE INDEX events_session ON events (session_id, id);
CREATE INDEX events_person ON events (user_id, id);
