//! Reverts the use of a code, device code or refresh token by a COMMIT without an answer, whose outcome could not be
//! looked up because the database was unavailable.
//!
//! The client got 503 and no tokens. When the database is available again, the use is reverted if it was committed: a
//! code or device code can be redeemed again, and a refresh token is the current one again, on every replica. A retry
//! at this replica reverts it first. Until then, another replica sees a value that was used twice: it refuses a code,
//! and gives the successor of a refresh token again within `reuseInterval`. Such a successor is not reverted, because a
//! client has it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_core::{GrantId, Limits, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::{Store, StoreError};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

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

#[derive(Default)]
pub(crate) struct UnconfirmedList(Mutex<List>);

struct List {
    waiting: VecDeque<Unconfirmed>,
    /// Maximum number of entries (`limits.unansweredCommits`); beyond it the oldest are dropped.
    limit: usize,
    /// A task that reverts them is running.
    is_worked_on: bool,
}

impl Default for List {
    fn default() -> Self {
        let limit = Limits::default().unanswered_commits;
        Self { waiting: VecDeque::new(), limit, is_worked_on: false }
    }
}

impl UnconfirmedList {
    pub(crate) fn set_limit(&self, limit: usize) {
        let mut list = self.list();
        list.limit = limit;
        list.make_room_for(0);
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the caller must start the task.
    fn add(&self, unconfirmed: Unconfirmed) -> bool {
        let mut list = self.list();
        list.make_room_for(1);
        list.waiting.push_back(unconfirmed);
        !std::mem::replace(&mut list.is_worked_on, true)
    }

    fn find(&self, key: &str) -> Option<Unconfirmed> {
        self.list().waiting.iter().find(|unconfirmed| unconfirmed.key() == key).cloned()
    }

    fn remove(&self, done: &Unconfirmed) {
        self.list().waiting.retain(|unconfirmed| unconfirmed != done);
    }

    /// `None`: the list is empty, and the task ends.
    fn first(&self) -> Option<Unconfirmed> {
        let mut list = self.list();
        let first = list.waiting.front().cloned();
        list.is_worked_on = first.is_some();
        first
    }
}

impl List {
    fn make_room_for(&mut self, more: usize) {
        let excess = (self.waiting.len() + more).saturating_sub(self.limit);
        if self.waiting.drain(..excess.min(self.waiting.len())).count() > 0 {
            tracing::warn!(
                "limits.unansweredCommits is reached: a code or token that an unanswered COMMIT has used stays used"
            );
        }
    }
}

impl Store {
    /// Sets how many uses whose COMMIT was not answered are remembered until they can be reverted.
    pub fn limit_unanswered_commits(&self, limit: usize) {
        self.unconfirmed.set_limit(limit);
    }

    /// Returns the result; if the outcome is unknown, also adds the use to the list.
    pub(crate) fn keep_if_unconfirmed<T>(
        &self,
        result: Result<T, StoreError>,
        unconfirmed: Unconfirmed,
    ) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::OutcomeUnknown(_))) && self.unconfirmed.add(unconfirmed)
        {
            let store = self.clone();
            tokio::spawn(async move {
                while let Some(first) = store.unconfirmed.first() {
                    tokio::time::sleep(PAUSE).await;
                    if store.revert(&first).await.is_err() && store.engine.is_closed() {
                        return;
                    }
                }
            });
        }
        result
    }

    /// Called before the value with this key is used again. An error while the database is unavailable.
    pub(crate) async fn revert_unconfirmed(&self, key: &str) -> Result<(), StoreError> {
        match self.unconfirmed.find(key) {
            Some(unconfirmed) => self.revert(&unconfirmed).await,
            None => Ok(()),
        }
    }

    async fn revert(&self, unconfirmed: &Unconfirmed) -> Result<(), StoreError> {
        match self.write(Revert(unconfirmed.clone())).await {
            // It is run again, which changes nothing if this run was committed.
            Err(error @ (StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) => Err(error),
            Ok(true) => {
                self.unconfirmed.remove(unconfirmed);
                tracing::warn!(
                    "an unanswered COMMIT had used a code or token, which can be used again"
                );
                Ok(())
            }
            Ok(false) => {
                self.unconfirmed.remove(unconfirmed);
                tracing::debug!(
                    "an unanswered COMMIT had no effect, or another replica has answered since"
                );
                Ok(())
            }
            Err(error) => {
                self.unconfirmed.remove(unconfirmed);
                Err(error)
            }
        }
    }
}

struct Revert(Unconfirmed);

impl Operation for Revert {
    /// True if the use had been committed.
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        // The transaction may still be running and hold the row's lock; the next statement sees its outcome.
        let (lock, key) = match &self.0 {
            Unconfirmed::Code { hash, .. } => {
                ("UPDATE codes SET used_at = used_at WHERE hash = $1", hash.as_str())
            }
            Unconfirmed::DeviceCode { hash, .. } => (
                "UPDATE device_requests SET status = status WHERE device_code_hash = $1",
                hash.as_str(),
            ),
            Unconfirmed::Rotation { grant, .. } => {
                ("UPDATE grants SET generation = generation WHERE id = $1", grant.as_str())
            }
        };
        conn.execute(lock, &[key.into()]).await?;
        // A grant that has ended meanwhile stays: the value was also presented to another replica. So does a refresh
        // token that another replica gave again.
        let (sql, grant) = match &self.0 {
            Unconfirmed::Code { grant, .. } => (
                "UPDATE codes SET used_at = NULL, grant_id = NULL WHERE hash = $1 AND grant_id = $2 \
                 AND EXISTS (SELECT 1 FROM grants WHERE id = $2 AND ended_at IS NULL)",
                grant,
            ),
            Unconfirmed::DeviceCode { grant, .. } => (
                "UPDATE device_requests SET status = 'approved', grant_id = NULL \
                 WHERE device_code_hash = $1 AND grant_id = $2 AND status = 'used' \
                 AND EXISTS (SELECT 1 FROM grants WHERE id = $2 AND ended_at IS NULL)",
                grant,
            ),
            Unconfirmed::Rotation { from, to, mac_key, at, .. } => {
                let sql = "UPDATE grants SET generation = $2 WHERE id = $1 AND generation = $3 \
                           AND mac_key = $4 AND rotated_at = $5 AND ended_at IS NULL \
                           AND (repeated_generation IS NULL OR repeated_generation <> $3)";
                let values =
                    [key.into(), (*from).into(), (*to).into(), (*mac_key).into(), (*at).into()];
                return Ok(from != to && conn.execute(sql, &values).await? == 1);
            }
        };
        if conn.execute(sql, &[key.into(), grant.into()]).await? == 0 {
            return Ok(false);
        }
        // No client got its tokens.
        conn.execute("DELETE FROM grants WHERE id = $1", &[grant.into()]).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::{GrantId, Timestamp};

    use super::{Unconfirmed, UnconfirmedList};

    const LIMIT: usize = 20;

    fn rotation(n: usize) -> Unconfirmed {
        let grant = GrantId::new(n.to_string());
        Unconfirmed::Rotation { grant, from: 1, to: 2, mac_key: 1, at: Timestamp::from_secs(1) }
    }

    #[test]
    fn the_list_is_bounded_and_one_task_works_on_it() {
        let list = UnconfirmedList::default();
        list.set_limit(LIMIT);
        assert!(list.add(rotation(0)), "the first one starts the task");
        for n in 1..=LIMIT {
            assert!(!list.add(rotation(n)), "it runs");
        }
        assert_eq!(list.find("0"), None, "the oldest is forgotten");
        assert_eq!(list.find("1"), Some(rotation(1)));
        list.set_limit(LIMIT - 1);
        assert_eq!(list.find("1"), None, "a reload has lowered the limit");
        for n in 2..=LIMIT {
            list.remove(&rotation(n));
        }
        assert_eq!(list.first(), None);
        assert!(list.add(rotation(0)), "the task has ended");
    }
}
