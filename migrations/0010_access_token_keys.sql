-- Signing keys that sign access tokens and nothing else (`signer.accessTokenAlgorithm`). Never edit this file; add the
-- next number.
ALTER TABLE signing_keys ADD COLUMN access_tokens_only BIGINT NOT NULL DEFAULT 0;
