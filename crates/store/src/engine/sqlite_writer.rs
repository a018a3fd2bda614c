//! The single writer of a SQLite file: a task that owns the only connection that may write.
//!
//! An operation is a value sent to this task, so a caller that stops waiting cannot cancel it. All operations queued
//! when the writer becomes free share one transaction and one fsync; no timer delays an operation. Results are returned
//! after COMMIT. If one of them fails, all are rolled back and run again, each in its own savepoint.

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
        let counted = shared.clone();
        tokio::spawn(async move {
            write_all(connection, waiting, file, counted).await;
            drop(folder);
        });
        Self { queue, shared }
    }

    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output, StoreError> {
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
    shared: Shared,
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
        Database { connection: &mut connection, file: &file, shared: &shared }.write(batch).await;
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database file was not closed cleanly; nothing is lost");
    }
    for done in closers {
        // The caller may have stopped waiting.
        let _ignored = done.send(());
    }
}

/// The connection that may write.
struct Database<'c> {
    connection: &'c mut SqliteConnection,
    file: &'c SqliteFile,
    shared: &'c Shared,
}

enum BatchError {
    /// Another process holds the lock, or the file cannot be written: running the operations separately would fail too.
    NotBegun(StoreError),
    /// The whole transaction was rolled back: COMMIT failed, or the disk is full.
    Lost(StoreError),
}

impl Database<'_> {
    async fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.len() < 2 {
            return self.write_alone(batch).await;
        }
        let result = match self.run_together(&mut batch).await {
            Ok(false) => {
                self.roll_back().await;
                self.run_in_savepoints(&mut batch).await
            }
            committed => committed.map(|_| ()),
        };
        match result {
            Ok(()) => {
                // Committed, but possibly into a deleted file.
                let lost = self.file.check().err();
                for job in batch {
                    job.finish(lost.clone());
                }
            }
            Err(BatchError::NotBegun(error)) => {
                // BEGIN may have been sent together with SAVEPOINT.
                self.roll_back().await;
                for job in batch {
                    job.finish(Some(error.clone()));
                }
            }
            Err(BatchError::Lost(error)) => {
                tracing::debug!(%error, operations = batch.len(), "a batch was not committed; each operation runs alone");
                self.roll_back().await;
                self.write_alone(batch).await;
            }
        }
    }

    /// Nearly always no operation fails, so there is no savepoint: it would cost each operation one more message to the
    /// thread of the connection. False: one failed, and the transaction is to be rolled back.
    async fn run_together(&mut self, batch: &mut [Box<dyn Job>]) -> Result<bool, BatchError> {
        self.command("BEGIN IMMEDIATE").await.map_err(BatchError::NotBegun)?;
        for job in batch {
            if !job.run(self.connection).await {
                return Ok(false);
            }
        }
        self.command("COMMIT").await.map(|()| true).map_err(BatchError::Lost)
    }

    async fn run_in_savepoints(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), BatchError> {
        let begin = "BEGIN IMMEDIATE; SAVEPOINT operation";
        self.command(begin).await.map_err(BatchError::NotBegun)?;
        let last = batch.len().saturating_sub(1);
        for (n, job) in batch.iter_mut().enumerate() {
            let next = match (job.run(self.connection).await, n == last) {
                (true, false) => "RELEASE operation; SAVEPOINT operation",
                (true, true) => "RELEASE operation; COMMIT",
                (false, false) => "ROLLBACK TO operation",
                (false, true) => "ROLLBACK TO operation; COMMIT",
            };
            self.command(next).await.map_err(BatchError::Lost)?;
        }
        Ok(())
    }

    async fn write_alone(&mut self, batch: Vec<Box<dyn Job>>) {
        for mut job in batch {
            let run = self.run_alone(job.as_mut()).await;
            let failed = run.and_then(|()| self.file.check()).err();
            job.finish(failed);
        }
    }

    /// Runs one operation in its own transaction. An error replaces the operation's result, because it was not
    /// committed. After a failed COMMIT SQLite restores the state before BEGIN, so the outcome is known.
    async fn run_alone(&mut self, job: &mut dyn Job) -> Result<(), StoreError> {
        self.command("BEGIN IMMEDIATE").await?;
        if !job.run(self.connection).await {
            self.roll_back().await;
            return Ok(());
        }
        let committed = self.command("COMMIT").await;
        if committed.is_err() {
            self.roll_back().await;
        }
        committed
    }

    async fn command(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.shared.count_transaction_message();
        sqlx::query(sql).execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn roll_back(&mut self) {
        if let Err(error) = self.command("ROLLBACK").await {
            // After some errors (disk full, I/O) SQLite has rolled back already.
            tracing::debug!(%error, "nothing to roll back");
        }
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

struct Queued<O: Operation> {
    operation: O,
    shared: Shared,
    outcome: Option<Result<O::Output, StoreError>>,
    sender: oneshot::Sender<Result<O::Output, StoreError>>,
}

impl<O: Operation> Job for Queued<O> {
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
