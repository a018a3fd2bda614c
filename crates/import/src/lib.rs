//! Imports the data of a Dex installation: signing keys, refresh tokens, passwords, clients, connectors, consents.
//!
//! [`source`] reads Dex's storage into the types of [`dex`], and [`mod@plan`] decides how each object is imported and
//! writes all of them in one transaction. Dex's data is never written.
//!
//! SQLite, PostgreSQL and MySQL are read by `countersign_store::dex`, because only that crate uses a database driver.
//! Dumps of PostgreSQL and MySQL are read too.

pub mod dex;
mod json;
pub mod plan;
mod record;
pub mod source;
mod sql_dump;

pub use dex::DexData;
pub use plan::{Plan, apply, plan};
pub use source::{Source, read};

/// Why Dex's storage could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {file}: {cause}")]
    File { file: String, cause: String },
    /// The text of a file is invalid.
    #[error("{0}")]
    Format(String),
    #[error("{0}")]
    Database(String),
    /// The storage cannot be read directly; the text says how to export it.
    #[error("{0}")]
    Instruction(String),
}
