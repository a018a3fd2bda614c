//! Reads the tables of a Dex, and recognises a database that is Dex's.
//!
//! Everything is read as text in one read-only transaction: lists and objects are JSON text, times are as the
//! engine writes them. What a row means is `countersign-import`'s. Nothing is ever written.

mod read;

use std::collections::BTreeMap;

pub(crate) use read::{is_unclaimed_postgres, is_unclaimed_sqlite};
pub use read::{read, state};

/// Column names with their texts.
pub type DexRow = BTreeMap<String, Option<String>>;

/// What a database of Dex holds. Tables have the names of Dex's own layout, also where it is ent's.
#[derive(Debug, Default)]
pub struct DexDatabase {
    pub tables: BTreeMap<String, Vec<DexRow>>,
    /// The number of its last migration; ent has none.
    pub migration: Option<i64>,
    /// `DEX_ENT_ENABLED=true`.
    pub is_ent: bool,
    /// Rows that are not read: how many of which kind.
    pub left_behind: BTreeMap<String, usize>,
}

/// Whose a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// It has tables of this program, perhaps beside Dex's.
    Ours,
    /// It has Dex's tables and none of ours.
    Dex,
    /// Not there, empty, or somebody else's.
    Other,
}

/// A table in Dex's layout and in ent's.
struct Table {
    name: &'static str,
    ent: &'static str,
}

const READ: [Table; 7] = [
    Table { name: "client", ent: "oauth2clients" },
    Table { name: "password", ent: "passwords" },
    Table { name: "connector", ent: "connectors" },
    Table { name: "keys", ent: "keys" },
    Table { name: "refresh_token", ent: "refresh_tokens" },
    Table { name: "offline_session", ent: "offline_sessions" },
    Table { name: "user_identity", ent: "user_identities" },
];

/// Only counted: what is in them is over within minutes, or has no counterpart.
const COUNTED: [(Table, &str); 4] = [
    (Table { name: "auth_request", ent: "auth_requests" }, "authorization requests"),
    (Table { name: "auth_code", ent: "auth_codes" }, "authorization codes"),
    (Table { name: "device_request", ent: "device_requests" }, "device requests"),
    (Table { name: "auth_session", ent: "auth_sessions" }, "browser sessions"),
];

/// Which of Dex's two layouts has these tables.
fn layout(names: &[String]) -> Option<bool> {
    let has = |name: &str| names.iter().any(|known| known == name);
    match (has("offline_session"), has("offline_sessions") && has("oauth2clients")) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    }
}

impl Table {
    fn in_layout(&self, is_ent: bool) -> &'static str {
        if is_ent { self.ent } else { self.name }
    }
}

impl DexDatabase {
    /// From the names of all tables and the rows of those that were read. `None` if they are not Dex's.
    pub fn new(names: &[String], mut rows: BTreeMap<String, Vec<DexRow>>) -> Option<Self> {
        let is_ent = layout(names)?;
        let mut database = Self { is_ent, ..Self::default() };
        for table in READ {
            let found = rows.remove(table.in_layout(is_ent)).unwrap_or_default();
            database.tables.insert(table.name.to_owned(), found);
        }
        for (table, what) in COUNTED {
            let count = rows.remove(table.in_layout(is_ent)).unwrap_or_default().len();
            if count > 0 {
                database.left_behind.insert(what.to_owned(), count);
            }
        }
        let migrations = rows.remove("migrations").unwrap_or_default();
        let numbers = migrations.iter().filter_map(|row| row.get("num")?.as_ref()?.parse().ok());
        database.migration = numbers.max();
        Some(database)
    }
}
