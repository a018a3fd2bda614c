-- SAML assertions that completed a login. Never edit this file; add the next number.

-- A bearer assertion completes one login (SAML 2.0 Profiles section 4.1.4.5), whichever replica it is presented to. A row
-- is written in the transaction that creates the session, so by nobody who has not authenticated. `hash` is of the
-- connector and the assertion's ID. After `expires_at` the login that the assertion belongs to has expired.
CREATE TABLE used_assertions (
    hash       TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_assertions_expires_at ON used_assertions (expires_at);
