//! Counters in a table of fixed size.

use std::sync::{Mutex, PoisonError};

use countersign_core::Timestamp;

const WAYS: usize = 4;

/// A new counter replaces the least recently used one of its set. The memory is allocated at first use.
pub struct CounterTable {
    sets: usize,
    slots: Mutex<Vec<Slot>>,
}

#[derive(Clone, Copy, Default)]
pub struct Slot {
    key: u64,
    pub since: Timestamp,
    pub last: Timestamp,
    pub count: u32,
}

impl CounterTable {
    /// A table of four times as many counters.
    pub const fn with_sets(sets: usize) -> Self {
        Self { sets, slots: Mutex::new(Vec::new()) }
    }

    /// The counter with this key, which is not 0.
    pub fn read(&self, key: u64) -> Option<Slot> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(self.set_of(key))?.iter().find(|slot| slot.key == key).copied()
    }

    /// Calls `act` with the slot of this key, which is not 0; a new key replaces the least recently used slot of its
    /// set.
    pub fn with<T>(&self, key: u64, act: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.resize(self.sets * WAYS, Slot::default());
        let mut spare = Slot::default();
        let set = slots.get_mut(self.set_of(key)).unwrap_or_default();
        let found = set.iter().position(|slot| slot.key == key);
        let place = found.or_else(|| {
            set.iter().enumerate().min_by_key(|(_, slot)| slot.last).map(|(index, _)| index)
        });
        let slot = place.and_then(|index| set.get_mut(index)).unwrap_or(&mut spare);
        if slot.key != key {
            *slot = Slot { key, ..Slot::default() };
        }
        act(slot)
    }

    fn set_of(&self, key: u64) -> std::ops::Range<usize> {
        let set = usize::try_from(key >> 8).unwrap_or(0) % self.sets;
        set * WAYS..(set + 1) * WAYS
    }
}
