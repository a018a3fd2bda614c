//! Every system test of Countersign: stories told against the real program, over the wire.
//!
//! `world` is the workshop (servers, browsers, relying parties, databases), `stories` are the tests,
//! `house` checks the shape of the workspace itself. Nothing here reaches into the program: what a
//! story knows it learned from an answer, a page or the log. How to write one: `tests/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is test code; a broken world fails the story that stands in it"
)]

mod house;
mod stories;
mod world;
