//! Single-use values that were used by a COMMIT whose answer was lost, while the database stayed away.
//!
//! The client was answered 503, so nobody has the tokens that the commit was for. Once the database is back, the effect
//! is taken back if it is there: a code or device code can be redeemed again, and a refresh token is current again,
//! on every replica. A retry that comes to this replica sooner takes it back first. Until then another replica sees a
//! value that was used twice.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_core::{GrantId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::{Store, StoreError};

/// Of more than these the oldest are forgotten.
const LIMIT: usize = 1024;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// One effect that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unconfirmed {
    Code { hash: String, grant: GrantId },
    DeviceCode { hash: String, grant: GrantId },
    Rotation { grant: GrantId, from: i64, to: i64, mac_key: i64, at: Timestamp },
}

impl Unconfirmed {
    /// What a retry brings: the hash of the code, or the grant of the refresh token.
    fn key(&self) -> &str {
        match self {
            Self::Code { hash, .. } | Self::DeviceCode { hash, .. } => hash,
            Self::Rotation { grant, .. } => grant.as_str(),
        }
    }
}

#[derive(Default)]
pub(crate) struct UnconfirmedList(Mutex<List>);

#[derive(Default)]
struct List {
    waiting: VecDeque<Unconfirmed>,
    /// A task takes them back.
    is_worked_on: bool,
}

impl UnconfirmedList {
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller must start the task.
    fn add(&self, unconfirmed: Unconfirmed) -> bool {
        let mut list = self.list();
        if list.waiting.len() >= LIMIT {
            list.waiting.pop_front();
        }
        list.waiting.push_back(unconfirmed);
        !std::mem::replace(&mut list.is_worked_on, true)
    }

    fn find(&self, key: &str) -> Option<Unconfirmed> {
        self.list().waiting.iter().find(|unconfirmed| unconfirmed.key() == key).cloned()
    }

    fn remove(&self, done: &Unconfirmed) {
        self.list().waiting.retain(|unconfirmed| unconfirmed != done);
    }

    /// `None`: none is left, and the task ends.
    fn first(&self) -> Option<Unconfirmed> {
        let mut list = self.list();
        let first = list.waiting.front().cloned();
        list.is_worked_on = first.is_some();
        first
    }
}

impl Store {
    /// Returns the result, and keeps what is to be taken back if it is not known.
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
                    if store.take_back(&first).await.is_err() && store.engine.is_closed() {
                        return;
                    }
                }
            });
        }
        result
    }

    /// Before the value with this key is looked at again. An error when the database is still away.
    pub(crate) async fn take_back_unconfirmed(&self, key: &str) -> Result<(), StoreError> {
        match self.unconfirmed.find(key) {
            Some(unconfirmed) => self.take_back(&unconfirmed).await,
            None => Ok(()),
        }
    }

    async fn take_back(&self, unconfirmed: &Unconfirmed) -> Result<(), StoreError> {
        match self.write(TakeBack(unconfirmed.clone())).await {
            // Running it again does no harm.
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
                Ok(())
            }
            Err(error) => {
                self.unconfirmed.remove(unconfirmed);
                Err(error)
            }
        }
    }
}

struct TakeBack(Unconfirmed);

impl Operation for TakeBack {
    /// Whether the effect was there.
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        // The lost transaction may still run, and holds the lock of the row; the next statement sees its end.
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
        // A grant that has ended since then stays: the value was presented to another replica as well.
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
                           AND mac_key = $4 AND rotated_at = $5 AND ended_at IS NULL";
                let values =
                    [key.into(), (*from).into(), (*to).into(), (*mac_key).into(), (*at).into()];
                return Ok(from != to && conn.execute(sql, &values).await? == 1);
            }
        };
        if conn.execute(sql, &[key.into(), grant.into()]).await? == 0 {
            return Ok(false);
        }
        // Its tokens were sent to nobody.
        conn.execute("DELETE FROM grants WHERE id = $1", &[grant.into()]).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::{GrantId, Timestamp};

    use super::{LIMIT, Unconfirmed, UnconfirmedList};

    fn rotation(n: usize) -> Unconfirmed {
        let grant = GrantId::new(n.to_string());
        Unconfirmed::Rotation { grant, from: 1, to: 2, mac_key: 1, at: Timestamp::from_secs(1) }
    }

    #[test]
    fn the_list_is_bounded_and_one_task_works_on_it() {
        let list = UnconfirmedList::default();
        assert!(list.add(rotation(0)), "the first one starts the task");
        for n in 1..=LIMIT {
            assert!(!list.add(rotation(n)), "it runs");
        }
        assert_eq!(list.find("0"), None, "the oldest is forgotten");
        assert_eq!(list.find("1"), Some(rotation(1)));
        for n in 1..=LIMIT {
            list.remove(&rotation(n));
        }
        assert_eq!(list.first(), None);
        assert!(list.add(rotation(0)), "the task has ended");
    }
}
