//! The single writer of a SQLite file: a task that owns the only connection that may write.
//!
//! An operation is a value sent to this task, so a caller that stops waiting cannot cancel it. All operations queued
//! when the writer becomes free share one transaction and one fsync; no timer delays an operation. Each has its own
//! savepoint; results are returned after COMMIT.

use std::future::Future;
use std::pin::Pin;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::conn::Conn;
use super::sqlite_file::SqliteFile;
use super::{Operation, WAIT_TIMEOUT};
use crate::StoreError;
use crate::shared::Shared;

/// Maximum number of operations in one transaction.
const BATCH: usize = 64;
/// Length of the queue; further callers wait.
const QUEUE: usize = 1024;

pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    shared: Shared,
}

enum Message {
    Operation(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// The temporary directory, if any, is removed after the connection is closed.
    pub(super) fn start(
        connection: SqliteConnection,
        folder: Option<TempDir>,
        file: SqliteFile,
        shared: Shared,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            write_all(connection, waiting, file).await;
            drop(folder);
        });
        Self { queue, shared }
    }

    pub(super) async fn write<V: Operation>(&self, operation: V) -> Result<V::Output, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job = Queued { operation, shared: self.shared.clone(), outcome: None, sender };
        let sent = self.queue.send_timeout(Message::Operation(Box::new(job)), WAIT_TIMEOUT).await;
        if sent.is_err() {
            return Err(StoreError::Unavailable("too many operations are queued".into()));
        }
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs the queued operations and closes the connection. Later operations fail with `Unavailable`.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error means that the task has already ended.
            let _ended = closed.await;
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

async fn write_all(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Message>,
    file: SqliteFile,
) {
    let mut waiting = Vec::with_capacity(BATCH);
    let mut closers = Vec::new();
    while queue.recv_many(&mut waiting, BATCH).await > 0 {
        let mut batch = Vec::with_capacity(waiting.len());
        for message in waiting.drain(..) {
            match message {
                Message::Operation(job) => batch.push(job),
                Message::Close(done) => {
                    queue.close();
                    closers.push(done);
                }
            }
        }
        if let Err(error) = file.check() {
            for job in batch {
                job.finish(Some(error.clone()));
            }
            continue;
        }
        write_batch(&mut connection, batch, &file).await;
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database file was not closed cleanly; nothing is lost");
    }
    for done in closers {
        // The caller may have stopped waiting.
        let _ignored = done.send(());
    }
}

async fn write_batch(
    connection: &mut SqliteConnection,
    mut batch: Vec<Box<dyn Job>>,
    file: &SqliteFile,
) {
    if batch.len() < 2 {
        return write_alone(connection, batch, file).await;
    }
    match run_together(connection, &mut batch).await {
        Ok(()) => {
            // Committed, but possibly into a deleted file.
            let lost = file.check().err();
            for job in batch {
                job.finish(lost.clone());
            }
        }
        Err(BatchError::NotBegun(error)) => {
            // BEGIN is sent together with SAVEPOINT.
            roll_back(connection).await;
            for job in batch {
                job.finish(Some(error.clone()));
            }
        }
        Err(BatchError::Lost(error)) => {
            tracing::debug!(%error, operations = batch.len(), "a batch was not committed; each operation runs alone");
            roll_back(connection).await;
            write_alone(connection, batch, file).await;
        }
    }
}

enum BatchError {
    /// Another process holds the lock, or the file cannot be written: running the operations separately would fail too.
    NotBegun(StoreError),
    /// The whole transaction was rolled back: COMMIT failed, or the disk is full.
    Lost(StoreError),
}

async fn run_together(
    connection: &mut SqliteConnection,
    batch: &mut [Box<dyn Job>],
) -> Result<(), BatchError> {
    let begin = "BEGIN IMMEDIATE; SAVEPOINT operation";
    command(connection, begin).await.map_err(BatchError::NotBegun)?;
    let last = batch.len().saturating_sub(1);
    for (n, job) in batch.iter_mut().enumerate() {
        let next = match (job.run(connection).await, n == last) {
            (true, false) => "RELEASE operation; SAVEPOINT operation",
            (true, true) => "RELEASE operation; COMMIT",
            (false, false) => "ROLLBACK TO operation",
            (false, true) => "ROLLBACK TO operation; COMMIT",
        };
        command(connection, next).await.map_err(BatchError::Lost)?;
    }
    Ok(())
}

async fn write_alone(
    connection: &mut SqliteConnection,
    batch: Vec<Box<dyn Job>>,
    file: &SqliteFile,
) {
    for mut job in batch {
        let run = run_alone(connection, job.as_mut()).await;
        let failed = run.and_then(|()| file.check()).err();
        job.finish(failed);
    }
}

/// Runs one operation in its own transaction. An error replaces the operation's result, because it was not committed.
/// After a failed COMMIT SQLite restores the state before BEGIN, so the outcome is known.
async fn run_alone(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<(), StoreError> {
    command(connection, "BEGIN IMMEDIATE").await?;
    if !job.run(connection).await {
        roll_back(connection).await;
        return Ok(());
    }
    let committed = command(connection, "COMMIT").await;
    if committed.is_err() {
        roll_back(connection).await;
    }
    committed
}

async fn command(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

async fn roll_back(connection: &mut SqliteConnection) {
    if let Err(error) = command(connection, "ROLLBACK").await {
        // After some errors (disk full, I/O) SQLite has rolled back already.
        tracing::debug!(%error, "nothing to roll back");
    }
}

/// A queued operation, whatever its result type.
trait Job: Send {
    /// Runs the operation in the open transaction and keeps its result; true if it may be committed.
    fn run<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Returns the result to the caller: `failed` if present, otherwise the operation's own.
    fn finish(self: Box<Self>, failed: Option<StoreError>);
}

struct Queued<V: Operation> {
    operation: V,
    shared: Shared,
    outcome: Option<Result<V::Output, StoreError>>,
    sender: oneshot::Sender<Result<V::Output, StoreError>>,
}

impl<V: Operation> Job for Queued<V> {
    fn run<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let outcome = self.operation.run(&mut Conn::sqlite(connection, &self.shared)).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }

    fn finish(self: Box<Self>, failed: Option<StoreError>) {
        let outcome = match failed {
            Some(error) => Err(error),
            None => self.outcome.unwrap_or_else(|| Err(closed())),
        };
        if outcome.is_ok() {
            self.shared.count_commit();
        }
        // The caller may have stopped waiting; the operation is committed all the same.
        let _ignored = self.sender.send(outcome);
    }
}

#[cfg(test)]
mod tests;
