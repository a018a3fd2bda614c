//! Takes over the data of a Dex: signing keys, refresh tokens, passwords, clients, connectors, consents.
//!
//! [`source`] reads a storage of Dex ([`dex`] is what it finds there), [`mod@plan`] decides what becomes of each
//! object, [`mod@apply`] writes it in one transaction. Nothing of Dex's is ever written.
//!
//! Reading SQLite and PostgreSQL is `countersign_store::dex`, because that crate alone knows a driver. MySQL is
//! read from a dump: its driver would be linked into the server for one command that runs once.

pub mod apply;
pub mod dex;
mod json;
pub mod plan;
mod record;
pub mod report;
pub mod source;
mod sql_dump;

pub use apply::apply;
pub use dex::DexData;
pub use plan::{Plan, plan};
pub use source::{Source, read};

/// Why a storage of Dex could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {file}: {cause}")]
    File { file: String, cause: String },
    /// Of the text of a file.
    #[error("{0}")]
    Format(String),
    #[error("{0}")]
    Database(String),
    /// What to do with a storage that is not read directly.
    #[error("{0}")]
    Instruction(String),
}
