-- From when a signing key signs no more, even without a successor, because the configuration in use has another service
-- sign, or no key for access tokens alone. NULL: the configuration in use needs it. Servers of the previous version
-- neither read nor write it. Never edit this file; add the next number.
ALTER TABLE signing_keys ADD COLUMN superseded_at BIGINT;
