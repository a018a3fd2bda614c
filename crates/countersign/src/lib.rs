//! The program as a library, so that tests reach what `main` is made of.
//!
//! It reads the command line and the configuration, wires the other rooms together, listens and
//! drains. It never decides anything about a login, a token or a row.

pub mod check;
pub mod cli;
mod config;
pub mod hash_password;
pub mod import;
pub mod kubernetes;
mod logging;
pub mod manage;
pub mod serve;
mod system_clock;
mod tls;
mod wiring;
