-- The generation of the refresh token that a grant's client was last given again, within `reuseInterval`. A server that
-- does not know whether its rotation was committed must not take that generation back. Servers of the previous version
-- neither read nor write it. Never edit this file; add the next number.
ALTER TABLE grants ADD COLUMN repeated_generation BIGINT;
