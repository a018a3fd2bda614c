-- Which clients that want to hear of an end a session gave something to. Outlives what it gave them, and
-- goes with the session, or when they have been told. Never edit this file; add the next number.
CREATE TABLE participants (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL,
    PRIMARY KEY (session_id, client_id)
);

-- One back-channel message to be delivered, written with the end that causes it. It stands alone, because
-- its session may be forgotten before it is delivered. Whoever claims it moves due_at behind a lease and
-- counts a try; a process that dies with it lets it come due again.
CREATE TABLE notices (
    id           TEXT   NOT NULL PRIMARY KEY,
    client_id    TEXT   NOT NULL,
    session_id   TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    connector_id TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    tries        BIGINT NOT NULL
);
CREATE INDEX notices_due ON notices (client_id, due_at);
-- For the collector.
CREATE INDEX notices_created ON notices (created_at);
