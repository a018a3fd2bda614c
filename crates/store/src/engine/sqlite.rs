//! SQLite: readers in parallel, one writer. The file is ours alone but for the command line.

use std::fs::OpenOptions;
use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::conn::{Conn, Told};
use super::sqlite_writer::Writer;
use super::temporary::TemporaryFolder;
use super::{Operation, PATIENCE, within};
use crate::desk::Desk;
use crate::error::chain;
use crate::{Location, OpenError, StoreError, migrate};

const READERS: u32 = 4;
/// How long SQLite itself waits for another process' lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Two processes that begin on one empty file meet where `busy_timeout` does not help: the switch
/// to WAL answers busy at once. So opening as a whole is tried again this long.
const OPEN_PATIENCE: Duration = Duration::from_secs(20);
const OPEN_PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct SqliteEngine {
    readers: SqlitePool,
    writer: Writer,
    told: Told,
}

impl SqliteEngine {
    pub(super) async fn open_temporary() -> Result<Self, OpenError> {
        let folder = TemporaryFolder::create().map_err(|e| OpenError::Connect {
            location: Location::Memory.to_string(),
            cause: format!("no temporary folder: {e}"),
        })?;
        let file = folder.path().join("memory.db");
        Self::open_with(&file, Some(folder)).await
    }

    pub(super) async fn open(file: &Path) -> Result<Self, OpenError> {
        Self::open_with(file, None).await
    }

    async fn open_with(file: &Path, folder: Option<TemporaryFolder>) -> Result<Self, OpenError> {
        let location = file.display().to_string();
        create_private(file).map_err(|e| OpenError::Connect {
            location: location.clone(),
            cause: format!("cannot create it: {e}"),
        })?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .disable_statement_logging();
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);

        let mut connection = tried_again(|| writing.connect())
            .await
            .map_err(|e| OpenError::Connect { location: location.clone(), cause: chain(&e) })?;
        migrate::sqlite(&mut connection, &location).await?;

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.read_only(true));
        let told = Told::default();
        let writer = Writer::start(connection, folder, told.clone());
        Ok(Self { readers, writer, told })
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.told.desk
    }

    pub(super) async fn write<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        self.writer.write(operation).await
    }

    pub(super) async fn read<V: Operation>(&self, operation: &V) -> Result<V::Answer, StoreError> {
        let mut connection = self.readers.acquire().await?;
        within(PATIENCE, operation.run(&mut Conn::sqlite(&mut connection, &self.told))).await
    }

    /// Touches the file: `SELECT 1` would not.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let sql = "SELECT COUNT(*) FROM sqlite_master";
        let _: i64 = sqlx::query_scalar(sql).fetch_one(&self.readers).await?;
        Ok(())
    }

    pub(super) async fn close(&self) {
        // The readers first: the last connection to close folds the WAL back into the file.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The WAL and its index inherit the mode of the file.
fn create_private(file: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

async fn tried_again<F>(open: impl Fn() -> F) -> Result<SqliteConnection, sqlx::Error>
where
    F: Future<Output = Result<SqliteConnection, sqlx::Error>>,
{
    let began = Instant::now();
    loop {
        match open().await {
            Err(error) if is_busy(&error) && began.elapsed() < OPEN_PATIENCE => {
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// SQLITE_BUSY in any of its kinds.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// Closes nicely or says so; nothing is lost either way.
pub(super) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database file did not close nicely");
    }
}
