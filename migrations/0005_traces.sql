-- What the upstream was asked and said at the last sign-in of a session, for the administrator who asks
-- why a group is missing. JSON, bounded; forgotten with its session.
CREATE TABLE traces (
    session_id TEXT   NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    at         BIGINT NOT NULL,
    trace      TEXT   NOT NULL
);
