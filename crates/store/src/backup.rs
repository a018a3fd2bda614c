//! Creates a consistent copy of a SQLite database while servers use it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::StoreError;
use crate::error::{chain, corrupt};

/// Copies the database `from` into the new file `to` (mode 0600), in the state of one instant. `from` is only read, and
/// its schema is not changed. Returns the size of the copy in bytes. Errors: `to` exists, or cannot be written.
pub async fn backup_sqlite(from: &Path, to: &Path) -> Result<u64, StoreError> {
    let unusable = |file: &Path, reason: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("{}: {reason}", file.display()))
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|e| unusable(to, &e))?;
    let copied = copy(from, to).await;
    if copied.is_err() {
        // The incomplete file is not a backup. If it cannot be removed either, the error below is sufficient.
        let _stays = fs::remove_file(to);
    }
    copied?;
    Ok(fs::metadata(to).map_err(|e| unusable(to, &e))?.len())
}

async fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(from).create_if_missing(false);
    let mut source = options
        .read_only(true)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|e| StoreError::Unavailable(format!("{}: {}", from.display(), chain(&e))))?;
    let target = to.to_str().ok_or_else(|| corrupt("the name of the backup is not UTF-8"))?;
    let done = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut source).await;
    source.close().await?;
    done?;
    check(to).await
}

/// Verifies that the copy can be read.
async fn check(file: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(false);
    let mut copy: SqliteConnection =
        options.read_only(true).disable_statement_logging().connect().await?;
    let found: String = sqlx::query_scalar("PRAGMA quick_check").fetch_one(&mut copy).await?;
    copy.close().await?;
    if found == "ok" { Ok(()) } else { Err(corrupt(format!("the copy is damaged: {found}"))) }
}
