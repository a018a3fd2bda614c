//! Reverts the use of a code, device code or refresh token whose outcome nobody learned.
//!
//! Either COMMIT was not answered, and its outcome could not be looked up because the database was unavailable; or the
//! caller stopped waiting, as a request does that has reached its time limit, while the operation went on. The client
//! got 503 and no tokens. When the operation has ended and the database is available, the use is reverted if it was
//! committed: a code or device code can be redeemed again, and a refresh token is the current one again, on every
//! replica. A retry at this replica reverts it first. Until then, another replica sees a value that was used twice: it
//! refuses a code, and gives the successor of a refresh token again within `reuseInterval`. Such a successor is not
//! reverted, because a client has it.

mod list;

use std::sync::Arc;
use std::time::Duration;

use countersign_core::{GrantId, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use self::list::{Entry, UseLock};
use crate::engine::conn::Conn;
use crate::engine::{Change, Operation};
use crate::{Store, StoreError};

pub(crate) use self::list::UnconfirmedList;

/// Pause after a failed attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a retry waits while the first use is still running.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is attempted before the store is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A use that may have been committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unconfirmed {
    Code { hash: String, grant: GrantId },
    DeviceCode { hash: String, grant: GrantId },
    Rotation { grant: GrantId, from: i64, to: i64, mac_key: i64, at: Timestamp },
}

impl Unconfirmed {
    /// What a retry is found by: the hash of the code, or the grant of the refresh token.
    fn key(&self) -> &str {
        match self {
            Self::Code { hash, .. } | Self::DeviceCode { hash, .. } => hash,
            Self::Rotation { grant, .. } => grant.as_str(),
        }
    }
}

/// An operation that uses a value, and the lock that is held as long as it may still be committed.
struct LockedUse<O> {
    operation: O,
    /// Released when the engine drops the operation.
    _running: Option<OwnedMutexGuard<()>>,
}

impl<O: Operation> Operation for LockedUse<O> {
    type Output = O::Output;

    const CHANGES: Option<Change> = O::CHANGES;

    fn type_name() -> &'static str {
        O::type_name()
    }

    async fn run(&self, conn: &mut Conn<'_>) -> Result<O::Output, StoreError> {
        self.operation.run(conn).await
    }

    async fn run_in_one_statement(
        &self,
        conn: &mut Conn<'_>,
    ) -> Result<Option<O::Output>, StoreError> {
        self.operation.run_in_one_statement(conn).await
    }

    fn has_one_statement(&self) -> bool {
        self.operation.has_one_statement()
    }
}

/// Adds the use to the list when dropped, unless its outcome is known by then.
struct PendingUse<'a> {
    store: &'a Store,
    /// `None`: the outcome is known.
    unconfirmed: Option<Unconfirmed>,
    lock: UseLock,
}

impl Drop for PendingUse<'_> {
    fn drop(&mut self) {
        let Some(unconfirmed) = self.unconfirmed.take() else { return };
        if self.store.unconfirmed.add(unconfirmed, Arc::clone(&self.lock)) {
            // Without a runtime the process is shutting down.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(self.store.clone().revert_all());
            }
        }
    }
}

impl Store {
    /// Sets how many uses whose COMMIT was not answered are remembered until they can be reverted.
    pub fn limit_unanswered_commits(&self, limit: usize) {
        self.unconfirmed.set_limit(limit);
    }

    /// Like [`Store::write`], for an operation that uses a value. If the outcome is unknown, or the caller stops
    /// waiting, the use is reverted later.
    pub(crate) async fn write_use<O: Operation>(
        &self,
        operation: O,
        unconfirmed: Unconfirmed,
    ) -> Result<O::Output, StoreError> {
        let lock = UseLock::default();
        // The lock is new, so this succeeds.
        let running = Arc::clone(&lock).try_lock_owned().ok();
        let mut pending = PendingUse { store: self, unconfirmed: Some(unconfirmed), lock };
        let result = self.write(LockedUse { operation, _running: running }).await;
        if !matches!(result, Err(StoreError::OutcomeUnknown(_))) {
            pending.unconfirmed = None;
        }
        result
    }

    /// Called before the value with this key is used again. An error while the database is unavailable.
    pub(crate) async fn revert_unconfirmed(&self, key: &str) -> Result<(), StoreError> {
        // Concurrent requests may have used it more than once.
        while let Some(entry) = self.unconfirmed.find(key) {
            let Ok(_locked) = timeout(LOCK_TIMEOUT, entry.lock.lock()).await else {
                return Err(StoreError::Unavailable("its first use is still running".into()));
            };
            self.revert(&entry).await?;
        }
        Ok(())
    }

    /// Reverts the uses that are left, as far as this is possible soon.
    pub(crate) async fn revert_before_close(&self) {
        let _elapsed = timeout(CLOSE_TIMEOUT, self.clone().revert_all()).await;
        let left = self.unconfirmed.close();
        if left > 0 {
            tracing::warn!(
                left,
                "the server stops, and the database is unavailable: codes and tokens that unanswered COMMITs may have \
                 used stay used"
            );
        }
    }

    /// Until the list is empty or closed.
    async fn revert_all(self) {
        let mut last = 0;
        while let Some(entry) = self.unconfirmed.next(last) {
            last = entry.id;
            let reverted = match entry.lock.try_lock() {
                Ok(_locked) => self.revert(&entry).await.is_ok(),
                Err(_) => false,
            };
            if !reverted {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The caller holds the lock of this entry.
    async fn revert(&self, entry: &Entry) -> Result<(), StoreError> {
        if !self.unconfirmed.contains(entry.id) {
            return Ok(());
        }
        let result = self.write(Revert(entry.unconfirmed.clone())).await;
        if matches!(result, Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) {
            // It is run again, which changes nothing if this run was committed.
            return result.map(|_| ());
        }
        self.unconfirmed.remove(entry.id);
        if result? {
            tracing::warn!(
                "a request without a response had used a code or token, which can be used again"
            );
        } else {
            tracing::debug!(
                "a request without a response had used nothing, or another replica has answered since"
            );
        }
        Ok(())
    }
}

/// Reverts it if it was committed and nobody has continued from it. Running it again changes nothing.
struct Revert(Unconfirmed);

impl Operation for Revert {
    /// True if the use had been committed.
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        match &self.0 {
            Unconfirmed::Code { hash, grant } => revert_redemption(conn, &CODE, hash, grant).await,
            Unconfirmed::DeviceCode { hash, grant } => {
                revert_redemption(conn, &DEVICE_CODE, hash, grant).await
            }
            Unconfirmed::Rotation { grant, from, to, mac_key, at } => {
                let lock = "UPDATE grants SET generation = generation WHERE id = $1";
                conn.execute(lock, &[grant.into()]).await?;
                // A refresh token that another replica gave again stays.
                let sql = "UPDATE grants SET generation = $2 WHERE id = $1 AND generation = $3 \
                           AND mac_key = $4 AND rotated_at = $5 AND ended_at IS NULL \
                           AND (repeated_generation IS NULL OR repeated_generation <> $3)";
                let values =
                    [grant.into(), (*from).into(), (*to).into(), (*mac_key).into(), (*at).into()];
                Ok(from != to && conn.execute(sql, &values).await? == 1)
            }
        }
    }
}

/// The statements on the row of a code or device code.
struct RedemptionStatements {
    /// Changes nothing. The transaction may still be running and hold the row's lock; the next statement sees its
    /// outcome.
    lock: &'static str,
    revert: &'static str,
}

const CODE: RedemptionStatements = RedemptionStatements {
    lock: "UPDATE codes SET used_at = used_at WHERE hash = $1",
    revert: "UPDATE codes SET used_at = NULL, grant_id = NULL WHERE hash = $1 AND grant_id = $2",
};

const DEVICE_CODE: RedemptionStatements = RedemptionStatements {
    lock: "UPDATE device_requests SET status = status WHERE device_code_hash = $1",
    revert: "UPDATE device_requests SET status = 'approved', grant_id = NULL \
             WHERE device_code_hash = $1 AND grant_id = $2 AND status = 'used'",
};

async fn revert_redemption(
    conn: &mut Conn<'_>,
    redemption: &RedemptionStatements,
    hash: &str,
    grant: &GrantId,
) -> Result<bool, StoreError> {
    conn.execute(redemption.lock, &[hash.into()]).await?;
    // A grant that has ended meanwhile stays, because the value was also presented to another replica. Its row is
    // locked, so that one which is being ended is seen.
    let lock_live = "UPDATE grants SET generation = generation WHERE id = $1 AND ended_at IS NULL";
    if conn.execute(lock_live, &[grant.into()]).await? == 0 {
        return Ok(false);
    }
    if conn.execute(redemption.revert, &[hash.into(), grant.into()]).await? == 0 {
        return Ok(false);
    }
    // No client got its tokens.
    conn.execute("DELETE FROM grants WHERE id = $1", &[grant.into()]).await?;
    Ok(true)
}
