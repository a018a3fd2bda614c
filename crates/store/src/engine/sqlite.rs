//! SQLite: concurrent readers, one writer. Other processes that open the file are commands of this program, such as the
//! one that copies it while a server uses it ([`backup_sqlite`]).

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::conn::Conn;
use super::listener::ProcessChanges;
use super::pool::{Pool, Pooled};
use super::sqlite_file::SqliteFile;
use super::sqlite_writer::Writer;
use super::{Change, Changes, Operation, WAIT_TIMEOUT, within};
use crate::error::{chain, corrupt};
use crate::shared::Shared;
use crate::{Location, OpenError, StoreError, migrate};

const READERS: u32 = 4;
/// How long SQLite waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Switching to WAL fails immediately with SQLITE_BUSY, whatever `busy_timeout` is, when another process opens the same
/// empty file. Opening is retried for this long.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const OPEN_PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct SqliteEngine {
    readers: Pool<SqliteConnection>,
    /// Options for opening a reader.
    reading: SqliteConnectOptions,
    writer: Writer,
    shared: Shared,
    file: SqliteFile,
    changes: ProcessChanges,
    /// The last write failed because the file could not be written.
    is_failing: AtomicBool,
}

impl SqliteEngine {
    pub(super) async fn open_temporary(shared: Shared) -> Result<Self, OpenError> {
        let folder = tempfile::Builder::new().prefix("countersign-").tempdir().map_err(|e| {
            OpenError::Connect {
                location: Location::Memory.to_string(),
                cause: format!("no temporary folder: {e}"),
            }
        })?;
        let file = folder.path().join("memory.db");
        Self::open_with(&file, Some(folder), shared).await
    }

    pub(super) async fn open(file: &Path, shared: Shared) -> Result<Self, OpenError> {
        Self::open_with(file, None, shared).await
    }

    async fn open_with(
        file: &Path,
        folder: Option<TempDir>,
        shared: Shared,
    ) -> Result<Self, OpenError> {
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
            // Temporary tables, of sorting and of statements that fail halfway, are small. In files they would need a
            // folder beside the database that can be written: a container with a read-only root has no /tmp.
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);

        let mut connection = retry_while_busy(|| writing.connect())
            .await
            .map_err(|e| OpenError::Connect { location: location.clone(), cause: chain(&e) })?;
        migrate::sqlite(&mut connection, &location).await?;

        let (readers, reading) = (Pool::new(READERS), options.read_only(true));
        let file = SqliteFile::new(file);
        let writer = Writer::start(connection, folder, file.clone(), shared.clone());
        let (changes, is_failing) = (ProcessChanges::default(), AtomicBool::default());
        Ok(Self { readers, reading, writer, shared, file, changes, is_failing })
    }

    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
        let outcome = self.writer.write(operation).await;
        // An operation's own refusal does not indicate a defect of the file.
        let failed =
            matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)));
        if failed || outcome.is_ok() {
            self.is_failing.store(failed, Ordering::Relaxed);
        }
        outcome
    }

    pub(super) async fn read<O: Operation>(&self, operation: &O) -> Result<O::Output, StoreError> {
        self.file.check()?;
        within(WAIT_TIMEOUT, async {
            let mut reader = self.reader().await?;
            let result =
                operation.run(&mut Conn::sqlite(&mut reader.connection, &self.shared)).await;
            reader.release();
            result
        })
        .await
    }

    async fn reader(&self) -> Result<Pooled<SqliteConnection>, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let mut slot = self.readers.slot().await.ok_or_else(closed)?;
        match slot.take() {
            Some((connection, age, _)) => Ok(slot.filled(connection, age)),
            None => Ok(slot.filled(self.reading.connect().await?, Duration::ZERO)),
        }
    }

    /// Reads from the file, which `SELECT 1` would not do. After a failed write, as on a full disk, it also writes,
    /// because a server that cannot write must not count as ready.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.file.check()?;
        if self.is_failing.load(Ordering::Relaxed) {
            self.write(Probe).await?;
        }
        let sql = "SELECT COUNT(*) FROM sqlite_master";
        let mut reader = self.reader().await?;
        let read: Result<i64, _> = sqlx::query_scalar(sql).fetch_one(&mut reader.connection).await;
        reader.release();
        read?;
        Ok(())
    }

    pub(super) fn changes(&self) -> Changes {
        self.changes.clone().into()
    }

    pub(super) fn announce(&self, change: Change) {
        self.changes.add(change);
    }

    pub(super) async fn close(&self) {
        // The readers first: the last connection that closes merges the WAL into the file.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Rewrites one page with its present content.
struct Probe;

impl Operation for Probe {
    type Output = ();
    async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        let sql = "CREATE TABLE write_probe (number INTEGER)";
        conn.execute(sql, &[]).await?;
        conn.execute("DROP TABLE write_probe", &[]).await?;
        Ok(())
    }
}

/// Creates the file with mode 0600, which its WAL and index inherit.
fn create_private(file: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

async fn retry_while_busy<F>(open: impl Fn() -> F) -> Result<SqliteConnection, sqlx::Error>
where
    F: Future<Output = Result<SqliteConnection, sqlx::Error>>,
{
    let started = Instant::now();
    loop {
        match open().await {
            Err(error) if is_busy(&error) && started.elapsed() < OPEN_TIMEOUT => {
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// SQLITE_BUSY or one of its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

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
    check_copy(to).await
}

/// Verifies that the copy can be read.
async fn check_copy(file: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(false);
    let mut copy: SqliteConnection =
        options.read_only(true).disable_statement_logging().connect().await?;
    let found: String = sqlx::query_scalar("PRAGMA quick_check").fetch_one(&mut copy).await?;
    copy.close().await?;
    if found == "ok" { Ok(()) } else { Err(corrupt(format!("the copy is damaged: {found}"))) }
}

#[cfg(test)]
mod tests {
    use super::SqliteEngine;
    use crate::StoreError;
    use crate::engine::Operation;
    use crate::engine::conn::Conn;
    use crate::shared::Shared;

    struct Sql(&'static str);

    impl Operation for Sql {
        type Output = ();
        async fn run(&self, conn: &mut Conn<'_>) -> Result<(), StoreError> {
            conn.execute(self.0, &[]).await.map(|_| ())
        }
    }

    /// SQLite reports a full disk and a database at its maximum size in the same way (SQLITE_FULL).
    #[tokio::test]
    async fn a_full_disk_is_not_ready_until_it_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let engine = SqliteEngine::open(&file, Shared::default()).await.unwrap();
        engine.write(Sql("CREATE TABLE filler (text TEXT)")).await.unwrap();
        engine.ping().await.unwrap();
        engine.write(Sql("PRAGMA max_page_count = 1")).await.unwrap();
        let fill = "INSERT INTO filler SELECT hex(zeroblob(100000))";
        let full = engine.write(Sql(fill)).await.unwrap_err();
        assert!(matches!(full, StoreError::Unavailable(_)), "{full}");
        assert!(engine.ping().await.is_err(), "it can be read, and is of no use");
        engine.write(Sql("PRAGMA max_page_count = 1000000")).await.unwrap();
        engine.ping().await.unwrap();
        engine.write(Sql(fill)).await.unwrap();
    }
}
