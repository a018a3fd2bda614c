//! The uses that may have to be reverted, in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::Limits;

use super::Unconfirmed;

/// Locked while the operation of a use is running, and while the use is being reverted.
pub(super) type UseLock = Arc<tokio::sync::Mutex<()>>;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Grows with each entry.
    pub(super) id: u64,
    pub(super) unconfirmed: Unconfirmed,
    pub(super) lock: UseLock,
}

#[derive(Default)]
pub(crate) struct UnconfirmedList(Mutex<List>);

struct List {
    /// By id.
    waiting: VecDeque<Entry>,
    last_id: u64,
    /// Maximum number of entries (`limits.unansweredCommits`); beyond it the oldest are dropped.
    limit: usize,
    /// A task that reverts them is running.
    has_task: bool,
    /// The store is being closed.
    is_closed: bool,
}

impl Default for List {
    fn default() -> Self {
        let limit = Limits::default().unanswered_commits;
        let waiting = VecDeque::new();
        Self { waiting, last_id: 0, limit, has_task: false, is_closed: false }
    }
}

impl UnconfirmedList {
    pub(super) fn set_limit(&self, limit: usize) {
        let mut list = self.list();
        list.limit = limit;
        list.make_room_for(0);
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the caller must start the task.
    pub(super) fn add(&self, unconfirmed: Unconfirmed, lock: UseLock) -> bool {
        let mut list = self.list();
        if list.is_closed {
            tracing::warn!(
                "the server stops: a code or token that a request without a response may have used stays used"
            );
            return false;
        }
        list.make_room_for(1);
        list.last_id += 1;
        let id = list.last_id;
        list.waiting.push_back(Entry { id, unconfirmed, lock });
        !std::mem::replace(&mut list.has_task, true)
    }

    /// The oldest entry with this key.
    pub(super) fn find(&self, key: &str) -> Option<Entry> {
        self.list().waiting.iter().find(|entry| entry.unconfirmed.key() == key).cloned()
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.list().index_of(id).is_some()
    }

    pub(super) fn remove(&self, id: u64) {
        let mut list = self.list();
        if let Some(index) = list.index_of(id) {
            list.waiting.remove(index);
        }
    }

    /// The entry to attempt after the one with the id `last`: so that each is attempted, even if the first ones fail again
    /// and again. `None`: the list is empty or closed, and the task ends.
    pub(super) fn next(&self, last: u64) -> Option<Entry> {
        let mut list = self.list();
        let next = list.next(last).cloned();
        list.has_task = next.is_some();
        next
    }

    /// Forgets all entries and accepts no more; returns how many there were.
    pub(super) fn close(&self) -> usize {
        let mut list = self.list();
        list.is_closed = true;
        std::mem::take(&mut list.waiting).len()
    }
}

impl List {
    fn make_room_for(&mut self, more: usize) {
        let excess = (self.waiting.len() + more).saturating_sub(self.limit);
        if self.waiting.drain(..excess.min(self.waiting.len())).count() > 0 {
            tracing::warn!(
                "limits.unansweredCommits is reached: a code or token that a request without a response may have used stays used"
            );
        }
    }

    fn index_of(&self, id: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    /// Later entries first, then from the oldest; one whose lock is held only if there is no other.
    fn next(&self, last: u64) -> Option<&Entry> {
        let is_free = |entry: &&Entry| entry.lock.try_lock().is_ok();
        let later = self.waiting.partition_point(|entry| entry.id <= last);
        let found = self.waiting.range(later..).find(is_free);
        found.or_else(|| self.waiting.iter().find(is_free)).or_else(|| self.waiting.front())
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::{GrantId, Timestamp};

    use super::{Entry, Unconfirmed, UnconfirmedList, UseLock};

    const LIMIT: usize = 20;

    fn rotation(n: usize) -> Unconfirmed {
        let grant = GrantId::new(n.to_string());
        Unconfirmed::Rotation { grant, from: 1, to: 2, mac_key: 1, at: Timestamp::from_secs(1) }
    }

    fn use_of(entry: Option<Entry>) -> Option<Unconfirmed> {
        entry.map(|entry| entry.unconfirmed)
    }

    #[test]
    fn the_list_is_bounded_and_one_task_works_on_it() {
        let list = UnconfirmedList::default();
        list.set_limit(LIMIT);
        assert!(list.add(rotation(0), UseLock::default()), "the first one starts the task");
        for n in 1..=LIMIT {
            assert!(!list.add(rotation(n), UseLock::default()), "it runs");
        }
        assert_eq!(use_of(list.find("0")), None, "the oldest is forgotten");
        assert_eq!(use_of(list.find("1")), Some(rotation(1)));
        list.set_limit(LIMIT - 1);
        assert_eq!(use_of(list.find("1")), None, "a reload has lowered the limit");
        for n in 2..=LIMIT {
            let entry = list.find(&n.to_string()).unwrap();
            assert!(list.contains(entry.id));
            list.remove(entry.id);
            assert!(!list.contains(entry.id));
        }
        assert_eq!(use_of(list.next(0)), None);
        assert!(list.add(rotation(0), UseLock::default()), "the task has ended");
    }

    #[test]
    fn each_entry_is_attempted_and_one_that_is_running_comes_last() {
        let list = UnconfirmedList::default();
        let locks = [UseLock::default(), UseLock::default(), UseLock::default()];
        for (n, lock) in locks.iter().enumerate() {
            list.add(rotation(n), lock.clone());
        }
        let mut last = 0;
        for n in [0, 1, 2, 0, 1] {
            let entry = list.next(last).unwrap();
            assert_eq!(entry.unconfirmed, rotation(n), "they fail, and it goes round");
            last = entry.id;
        }
        let [first, second, third] = &locks;
        let _running = third.try_lock().unwrap();
        assert_eq!(use_of(list.next(last)), Some(rotation(0)), "the third one is running");
        let _running = (first.try_lock().unwrap(), second.try_lock().unwrap());
        assert_eq!(use_of(list.next(last)), Some(rotation(0)), "all are");
    }

    #[test]
    fn a_closed_list_is_empty_and_stays_so() {
        let list = UnconfirmedList::default();
        list.add(rotation(0), UseLock::default());
        list.add(rotation(1), UseLock::default());
        assert_eq!(list.close(), 2);
        assert_eq!(use_of(list.next(0)), None, "the task ends");
        assert!(!list.add(rotation(2), UseLock::default()), "no other begins");
        assert_eq!(list.close(), 0);
    }
}
