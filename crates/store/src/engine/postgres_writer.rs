//! Writing operations on PostgreSQL: each is one transaction, run again after a conflict or a dead connection.
//!
//! READ COMMITTED is enough, because every operation that decides something first locks the row it
//! decides on by an UPDATE. Connections to a standby are rejected.
//!
//! When the answer to COMMIT is lost, the outcome is looked up (see `commit`), and the caller gets the result of what
//! was committed. An operation of one statement has no transaction id; it recognises its own effect when it runs again
//! (`Conn::may_have_run`). Where neither helps, because the server stays away, the error is `OutcomeUnknown`.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use super::commit::{
    RESOLVE_TIMEOUT, TransactionId, TransactionOutcome, begin, commit, outcome_of, roll_back,
};
use super::conn::Conn;
use super::primary::Primary;
use super::{Operation, WAIT_TIMEOUT};
use crate::StoreError;
use crate::error::{chain, is_conflict, is_outcome_known};
use crate::shared::Shared;

/// Most attempts of one operation after conflicts or dead connections.
pub(super) const TRIES: u32 = 6;
/// No attempt begins later than this after the first one: a request is answered 503 after 30 s, whatever the outcome.
const LAST_ATTEMPT: Duration = Duration::from_secs(20);

/// One operation until it has a result.
pub(super) struct Writing<'a, O: Operation> {
    primary: &'a Primary,
    operation: &'a O,
    shared: &'a Shared,
    /// Why it is not known whether an earlier attempt was committed.
    lost: Option<String>,
}

enum Attempt<A> {
    /// Committed, or failed by the operation itself and rolled back.
    Decided(Result<A, StoreError>),
    /// Rolled back by a conflict; may be run again.
    Conflict(StoreError),
    /// Nothing of the operation was written; may be run again on another connection.
    NotBegun(StoreError),
    /// The connection is in an unknown state and must be closed.
    Failed(StoreError),
    /// COMMIT was sent, or a statement that commits itself, and its result was lost with the connection.
    Unanswered(String),
}

/// How far an attempt has come. Kept apart from it, because it may be cancelled by a timeout.
enum Progress<A> {
    Running,
    OneStatementSent,
    /// With the result of the operation, if it is committed.
    CommitSent(A, Option<TransactionId>),
}

impl<'a, O: Operation> Writing<'a, O> {
    pub(super) fn new(primary: &'a Primary, operation: &'a O, shared: &'a Shared) -> Self {
        Self { primary, operation, shared, lost: None }
    }

    pub(super) async fn run(mut self) -> Result<O::Output, StoreError> {
        let result = self.run_until_decided().await;
        match (result, self.lost) {
            // Nothing is known about the earlier attempt.
            (Err(StoreError::Unavailable(_)), Some(lost)) => Err(StoreError::OutcomeUnknown(lost)),
            (result, _) => result,
        }
    }

    async fn run_until_decided(&mut self) -> Result<O::Output, StoreError> {
        let (begun, mut attempts) = (Instant::now(), 0);
        loop {
            attempts += 1;
            let mut pooled = match &self.lost {
                None => self.primary.connection().await?,
                Some(_) => self.primary.connection_until(Instant::now() + RESOLVE_TIMEOUT).await?,
            };
            let mut progress = Progress::Running;
            let running = self.attempt(&mut pooled.connection, &mut progress);
            let attempt = tokio::time::timeout(WAIT_TIMEOUT, running).await;
            let error = match attempt {
                Ok(Attempt::Decided(result)) => {
                    pooled.release();
                    return result;
                }
                Ok(Attempt::Conflict(error)) => {
                    pooled.release();
                    error
                }
                // In these cases the connection is closed.
                Ok(Attempt::Failed(error)) => return Err(error),
                Ok(Attempt::NotBegun(error)) => error,
                Ok(Attempt::Unanswered(cause)) => {
                    drop(pooled);
                    match self.resolve(progress, cause).await {
                        Some(result) => return result,
                        None => StoreError::Unavailable("the transaction was rolled back".into()),
                    }
                }
                Err(_) => {
                    drop(pooled);
                    let cause = format!("no answer within {WAIT_TIMEOUT:?}");
                    match self.resolve(progress, cause).await {
                        Some(result) => return result,
                        None => StoreError::Unavailable("no answer in time".into()),
                    }
                }
            };
            if attempts == TRIES || begun.elapsed() >= LAST_ATTEMPT {
                return Err(error);
            }
            // A short pause lets the transactions that won finish.
            tokio::time::sleep(Duration::from_millis(5) * attempts).await;
        }
    }

    /// `None`: the operation is run again.
    async fn resolve(
        &mut self,
        progress: Progress<O::Output>,
        cause: String,
    ) -> Option<Result<O::Output, StoreError>> {
        match progress {
            Progress::Running => Some(Err(StoreError::Unavailable(cause))),
            Progress::OneStatementSent => {
                tracing::debug!(cause, "a statement was not answered; it is repeated");
                self.lost = Some(cause);
                None
            }
            Progress::CommitSent(_, None) => Some(Err(StoreError::OutcomeUnknown(cause))),
            Progress::CommitSent(output, Some(id)) => {
                let deadline = Instant::now() + RESOLVE_TIMEOUT;
                match outcome_of(self.primary, &id, deadline).await {
                    TransactionOutcome::Committed => {
                        tracing::info!(cause, "a COMMIT was not answered; it had taken effect");
                        self.shared.count_commit();
                        Some(Ok(output))
                    }
                    TransactionOutcome::RolledBack => {
                        tracing::info!(
                            cause,
                            "a COMMIT was not answered; it had no effect and is repeated"
                        );
                        None
                    }
                    TransactionOutcome::Unknown(reason) => {
                        Some(Err(StoreError::OutcomeUnknown(format!("{cause}; {reason}"))))
                    }
                }
            }
        }
    }

    async fn attempt(
        &self,
        connection: &mut PgConnection,
        progress: &mut Progress<O::Output>,
    ) -> Attempt<O::Output> {
        if self.operation.has_one_statement() {
            *progress = Progress::OneStatementSent;
            if let Some(decided) = self.attempt_in_one_statement(connection).await {
                return decided;
            }
            *progress = Progress::Running;
        }
        let id = match begin(connection, self.primary.has_transaction_ids).await {
            Ok(id) => id,
            Err(error) => return Attempt::NotBegun(error),
        };
        let mut conn = self.conn(connection);
        let result = self.operation.run(&mut conn).await;
        let (conflict, is_read_only) = (conn.has_conflict, conn.is_read_only);
        match result {
            Ok(output) => {
                *progress = Progress::CommitSent(output, id);
                let committed = commit(connection).await;
                self.after_commit(committed, progress)
            }
            // The primary has become a standby, or read-only: another server may have taken over.
            Err(error) if is_read_only => Attempt::NotBegun(error),
            Err(error) => match roll_back(connection).await {
                Ok(()) if conflict => Attempt::Conflict(error),
                Ok(()) => Attempt::Decided(Err(error)),
                Err(_) => Attempt::Failed(error),
            },
        }
    }

    fn after_commit(
        &self,
        committed: Result<(), sqlx::Error>,
        progress: &mut Progress<O::Output>,
    ) -> Attempt<O::Output> {
        match committed {
            Err(error) if is_conflict(&error) => Attempt::Conflict(error.into()),
            Err(error) if is_outcome_known(&error) => Attempt::Failed(error.into()),
            Err(error) => Attempt::Unanswered(chain(&error)),
            Ok(()) => match std::mem::replace(progress, Progress::Running) {
                Progress::CommitSent(output, _) => {
                    self.shared.count_commit();
                    Attempt::Decided(Ok(output))
                }
                Progress::Running | Progress::OneStatementSent => {
                    Attempt::Failed(crate::error::corrupt("a commit without a result"))
                }
            },
        }
    }

    /// `None`: the statement had no effect.
    async fn attempt_in_one_statement(
        &self,
        connection: &mut PgConnection,
    ) -> Option<Attempt<O::Output>> {
        let mut conn = self.conn(connection);
        let error = match self.operation.run_in_one_statement(&mut conn).await {
            Ok(None) => return None,
            Ok(Some(output)) => {
                self.shared.count_commit();
                return Some(Attempt::Decided(Ok(output)));
            }
            Err(error) => error,
        };
        Some(match error {
            error if conn.has_conflict => Attempt::Conflict(error),
            error if conn.is_read_only => Attempt::NotBegun(error),
            error if conn.has_lost_result => Attempt::Unanswered(error.to_string()),
            error => Attempt::Failed(error),
        })
    }

    fn conn<'c>(&self, connection: &'c mut PgConnection) -> Conn<'c> {
        let mut conn = Conn::postgres(connection, self.shared);
        conn.may_have_run = self.lost.is_some();
        conn
    }
}
