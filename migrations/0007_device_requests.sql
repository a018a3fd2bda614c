-- Device authorization requests (RFC 8628). Never edit this file; add the next number.
--
-- The only rows that are written before anybody has authenticated: few in all and per address, and short-lived.
-- Both codes are stored as hashes. status: pending, approved, denied or used. session_id and auth_time are
-- those of the person who approved.
CREATE TABLE device_requests (
    device_code_hash TEXT   NOT NULL PRIMARY KEY,
    user_code_hash   TEXT   NOT NULL UNIQUE,
    client_id        TEXT   NOT NULL,
    scopes           TEXT   NOT NULL,
    challenge        TEXT,
    address          TEXT   NOT NULL,
    counted_address  TEXT   NOT NULL,
    user_agent       TEXT   NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    status           TEXT   NOT NULL,
    session_id       TEXT   REFERENCES sessions (id) ON DELETE CASCADE,
    auth_time        BIGINT,
    grant_id         TEXT   REFERENCES grants (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
);
-- For the limit per address, and for the limit in all and the collector.
CREATE INDEX device_requests_address ON device_requests (counted_address, expires_at);
CREATE INDEX device_requests_expires ON device_requests (expires_at);
-- For the references, when a session or a grant is deleted.
CREATE INDEX device_requests_session ON device_requests (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX device_requests_grant ON device_requests (grant_id) WHERE grant_id IS NOT NULL;
