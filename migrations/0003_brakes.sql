-- A connector whose upstream refused so many people at once that a person must say whether that is
-- meant. One row a connector: what set it last, and who confirmed it, if anybody has. Never edit this
-- file; add the next number.
CREATE TABLE brakes (
    connector_id TEXT   NOT NULL PRIMARY KEY,
    set_at       BIGINT NOT NULL,
    refused      BIGINT NOT NULL,
    asked        BIGINT NOT NULL,
    confirmed_at BIGINT,
    confirmed_by TEXT
);
