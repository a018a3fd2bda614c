//! countersign-jose
