//! The system tests of Countersign: they run the real program and talk to it over the network.
//!
//! `scenarios` holds the tests in folders by subject, `world` what they use (servers, browsers, relying
//! parties, databases). No test calls the program's own functions: it observes responses, pages and the log. How to write
//! one: `tests/README.md`. `architecture`, `source_rules` and `documents` check the workspace, its source text and the
//! documents.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::trivially_copy_pass_by_ref,
    clippy::unbuffered_bytes,
    reason = "test code: a failed set-up fails the test"
)]

mod architecture;
mod documents;
mod scenarios;
mod source_rules;
mod world;
