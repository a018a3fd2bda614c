//! countersign-connectors
