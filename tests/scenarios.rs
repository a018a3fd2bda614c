//! The test cases, in a folder for each subject.

mod admin;
mod connectors;
mod http;
mod kubectl;
mod kubernetes;
mod login;
mod migration;
mod operations;
mod pages;
mod sessions;
mod tokens;
