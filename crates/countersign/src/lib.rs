//! The program as a library, so that tests can use its parts.
//!
//! Reads the command line and the configuration, connects the other crates, and starts and stops the server. It
//! contains no decisions about logins, tokens or stored data.

pub mod check;
pub mod cli;
pub mod commands;
mod config;
mod environment;
pub mod example_app;
pub mod import;
pub mod kubernetes;
mod logging;
pub mod manage;
pub mod serve;
mod signals;
mod tls;
mod trace_export;
mod wiring;
