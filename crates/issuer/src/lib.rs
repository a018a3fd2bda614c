//! countersign-issuer
