-- Clients, local users and connectors that are not in the configuration file, and what a takeover of Dex's data
-- leaves. Never edit this file; add the next number.

-- Made through the administration API, or taken over from Dex. `kind` is client, user or connector. The document
-- is JSON, sealed under the root key as a whole: it holds client secrets, password hashes and upstream secrets.
CREATE TABLE stored_objects (
    kind       TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    document   TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- One row, whose number changes with every change above: replicas read the documents again when it does.
CREATE TABLE stored_objects_version (
    id     BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO stored_objects_version (id, number) VALUES (1, 0);

-- The refresh token that a client got from Dex, until its grant is collected. The grant's generation 0.
CREATE TABLE imported_refresh_tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    token_hash TEXT   NOT NULL,
    grant_id   TEXT   NOT NULL REFERENCES grants (id) ON DELETE CASCADE
);
CREATE INDEX imported_refresh_tokens_grant ON imported_refresh_tokens (grant_id);

-- A signing key that Dex used. It verifies what Dex signed before `imported_at`, and is published until it expires.
CREATE TABLE imported_keys (
    kid         TEXT   NOT NULL PRIMARY KEY,
    public_jwk  TEXT   NOT NULL,
    imported_at BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
