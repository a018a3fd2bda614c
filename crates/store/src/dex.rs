//! Reads Dex's tables, and recognizes a database of Dex.
//!
//! All values are read as text in one read-only transaction: lists and objects are JSON text, times are in the engine's
//! format. `countersign-import` interprets the rows. Nothing is written.

mod mysql;
mod read;

use std::collections::BTreeMap;

pub use mysql::{MySqlOptions, read_mysql};
pub(crate) use read::{is_unclaimed_postgres, is_unclaimed_sqlite};
pub use read::{read, state};

/// A row: column names and their values as text.
pub type DexRow = BTreeMap<String, Option<String>>;

/// The content of a Dex database. Tables are named as in Dex's own layout, even if the database uses ent's.
#[derive(Debug, Default)]
pub struct DexDatabase {
    pub tables: BTreeMap<String, Vec<DexRow>>,
    /// Number of the last migration; ent has none.
    pub migration: Option<i64>,
    /// `DEX_ENT_ENABLED=true`.
    pub is_ent: bool,
    /// Rows that are not imported: their number by kind.
    pub left_behind: BTreeMap<String, usize>,
}

/// Whose tables a database contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// It has tables of this program, possibly beside Dex's.
    Ours,
    /// It has Dex's tables and none of ours.
    Dex,
    /// It does not exist, is empty, or belongs to another program.
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

/// Only counted: these rows expire within minutes, or have no counterpart here.
const COUNTED: [(Table, &str); 4] = [
    (Table { name: "auth_request", ent: "auth_requests" }, "authorization requests"),
    (Table { name: "auth_code", ent: "auth_codes" }, "authorization codes"),
    (Table { name: "device_request", ent: "device_requests" }, "device requests"),
    (Table { name: "auth_session", ent: "auth_sessions" }, "browser sessions"),
];

/// Whether the tables are those of ent (`true`) or of Dex's own layout (`false`); `None`: neither.
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
    /// Assembles the tables that were read; `names` are all tables of the database. `None` if they are not Dex's.
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
