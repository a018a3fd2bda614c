//! The one writer of a SQLite file: a task that owns the only connection which may write.
//!
//! A verb is a value sent here, so nobody who goes away can drop it half way. What waits when the
//! writer is free is one transaction and one fsync: no timer ever delays a verb for company.
//! Every verb has its savepoint, answers leave after COMMIT.

use std::future::Future;
use std::pin::Pin;

use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::conn::{Conn, Told};
use super::sqlite::close;
use super::temporary::TemporaryFolder;
use super::{Operation, PATIENCE};
use crate::StoreError;

/// Verbs in one transaction at most.
const BATCH: usize = 64;
/// Verbs that may wait; whoever comes then waits outside.
const QUEUE: usize = 1024;

pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    told: Told,
}

enum Message {
    Operation(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// The folder, when there is one, is removed after the connection is closed.
    pub(super) fn start(
        connection: SqliteConnection,
        folder: Option<TemporaryFolder>,
        told: Told,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            write_all(connection, waiting).await;
            drop(folder);
        });
        Self { queue, told }
    }

    pub(super) async fn write<V: Operation>(&self, operation: V) -> Result<V::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Posted { operation, told: self.told.clone(), outcome: None, answer };
        let sent = self.queue.send_timeout(Message::Operation(Box::new(job)), PATIENCE).await;
        if sent.is_err() {
            return Err(StoreError::Unavailable("too much waits to be written".into()));
        }
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Writes what waits and closes. Verbs that come later are refused.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // An error here means that the task has ended, which is what was asked for.
            let _ended = closed.await;
        }
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

async fn write_all(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Message>) {
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
        write_batch(&mut connection, batch).await;
    }
    close(connection).await;
    for done in closers {
        // Whoever asked may have gone.
        let _gone = done.send(());
    }
}

async fn write_batch(connection: &mut SqliteConnection, mut batch: Vec<Box<dyn Job>>) {
    if batch.len() < 2 {
        return write_alone(connection, batch).await;
    }
    match together(connection, &mut batch).await {
        Ok(()) => batch.into_iter().for_each(|job| job.answer(None)),
        Err(Together::NotBegun(error)) => {
            batch.into_iter().for_each(|job| job.answer(Some(error.clone())));
        }
        Err(Together::Lost(error)) => {
            tracing::debug!(%error, verbs = batch.len(), "a batch was not committed");
            roll_back(connection).await;
            write_alone(connection, batch).await;
        }
    }
}

enum Together {
    /// Another process holds the file, or it cannot be written: nobody gets through alone either.
    NotBegun(StoreError),
    /// The transaction as a whole is lost: a failed COMMIT, or a full disk rolled it back.
    Lost(StoreError),
}

async fn together(
    connection: &mut SqliteConnection,
    batch: &mut [Box<dyn Job>],
) -> Result<(), Together> {
    command(connection, "BEGIN IMMEDIATE").await.map_err(Together::NotBegun)?;
    command(connection, "SAVEPOINT verb").await.map_err(Together::Lost)?;
    for job in batch {
        let next = if job.run(connection).await {
            "RELEASE verb; SAVEPOINT verb"
        } else {
            "ROLLBACK TO verb"
        };
        command(connection, next).await.map_err(Together::Lost)?;
    }
    command(connection, "COMMIT").await.map_err(Together::Lost)
}

async fn write_alone(connection: &mut SqliteConnection, batch: Vec<Box<dyn Job>>) {
    for mut job in batch {
        let failed = alone(connection, job.as_mut()).await.err();
        job.answer(failed);
    }
}

/// An error here replaces the verb's own answer, because that was not committed.
async fn alone(connection: &mut SqliteConnection, job: &mut dyn Job) -> Result<(), StoreError> {
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
        // SQLite rolls back by itself after a full disk; then there is nothing left to do.
        tracing::debug!(%error, "nothing to roll back");
    }
}

/// A verb with its answer, of any type.
trait Job: Send {
    /// Runs the verb in the open transaction and keeps its answer; true when it may be committed.
    fn run<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Tells whoever asked: `failed` if there is one, else what the verb answered.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Posted<V: Operation> {
    operation: V,
    told: Told,
    outcome: Option<Result<V::Answer, StoreError>>,
    answer: oneshot::Sender<Result<V::Answer, StoreError>>,
}

impl<V: Operation> Job for Posted<V> {
    fn run<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let outcome = self.operation.run(&mut Conn::sqlite(connection, &self.told)).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        })
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let outcome = match failed {
            Some(error) => Err(error),
            None => self.outcome.unwrap_or_else(|| Err(gone())),
        };
        // Nobody waits any more: the verb is committed all the same.
        let _unheard = self.answer.send(outcome);
    }
}

#[cfg(test)]
mod tests;
