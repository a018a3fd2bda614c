//! One connection of either engine, spoken to in one SQL text.
//!
//! Values are bound, never written into the text; columns are asked for by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use countersign_core::{ClientId, ConnectorId, GrantId, SessionId, Timestamp};
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Postgres, Row as _, Sqlite};

use crate::StoreError;
use crate::desk::Desk;
use crate::error::{broken, is_conflict};

/// What a verb speaks to. Inside a write verb everything is one transaction.
pub(crate) struct Conn<'c> {
    link: Link<'c>,
    pub(crate) told: Told,
    /// A statement lost against another transaction (PostgreSQL); the verb may be run again.
    pub(crate) conflict: bool,
}

/// What all verbs of one store share: how many events it has told, so that those of one instant keep
/// their order, and what is to be told to clients.
#[derive(Clone, Default)]
pub(crate) struct Told {
    events: Arc<AtomicU32>,
    pub(crate) desk: Arc<Desk>,
}

impl Told {
    pub(crate) fn next(&self) -> u32 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }
}

enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// What a placeholder stands for. No `Debug`: it may be a sealed key or a person.
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

impl<'c> Conn<'c> {
    pub(crate) fn sqlite(connection: &'c mut SqliteConnection, told: &Told) -> Self {
        Self { link: Link::Sqlite(connection), told: told.clone(), conflict: false }
    }

    pub(crate) fn postgres(connection: &'c mut PgConnection, told: &Told) -> Self {
        Self { link: Link::Postgres(connection), told: told.clone(), conflict: false }
    }

    /// The first row of a SELECT. No stored text has a NUL, so one that is asked for is absent.
    pub(crate) async fn select_one(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.select(sql, values).await?.into_iter().next())
    }

    /// The rows of a SELECT. No stored text has a NUL, so one that is asked for is absent.
    pub(crate) async fn select(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        if values.iter().any(Value::has_nul) {
            return Ok(Vec::new());
        }
        self.fetch(sql, values).await
    }

    /// Runs a writing statement with RETURNING; what it returned.
    pub(crate) async fn returning(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        refuse_nul(values)?;
        self.fetch(sql, values).await
    }

    /// Runs a writing statement; how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        refuse_nul(values)?;
        let done = match &mut self.link {
            Link::Sqlite(c) => {
                sqlite_query(sql, values).execute(&mut **c).await.map(|r| r.rows_affected())
            }
            Link::Postgres(c) => {
                postgres_query(sql, values).execute(&mut **c).await.map(|r| r.rows_affected())
            }
        };
        done.map_err(|e| self.failed(e))
    }

    async fn fetch(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let rows = match &mut self.link {
            Link::Sqlite(c) => sqlite_query(sql, values)
                .fetch_all(&mut **c)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Link::Postgres(c) => postgres_query(sql, values)
                .fetch_all(&mut **c)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(|e| self.failed(e))
    }

    fn failed(&mut self, error: sqlx::Error) -> StoreError {
        self.conflict |= is_conflict(&error);
        error.into()
    }
}

fn refuse_nul(values: &[Value]) -> Result<(), StoreError> {
    if values.iter().any(Value::has_nul) {
        return Err(StoreError::Unstorable("it has a NUL character".into()));
    }
    Ok(())
}

fn sqlite_query(sql: &'static str, values: &[Value]) -> Query<'static, Sqlite, SqliteArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Int(int) => query.bind(*int),
    })
}

fn postgres_query(sql: &'static str, values: &[Value]) -> Query<'static, Postgres, PgArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text.as_deref()),
        Value::Int(int) => query.bind(*int),
    })
}

/// A row of either engine, read by column name.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn maybe_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn maybe_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| broken(format!("{column} is null")))
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| broken(format!("{column} is null")))
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(crate) fn maybe_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_int(column)?.map(Timestamp::from_millis))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|e| broken(format!("{column} is not what it was written as: {e}")))
    }
}

impl Value {
    fn has_nul(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.contains('\0'))
    }

    /// As JSON text.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self, StoreError> {
        serde_json::to_string(value)
            .map(|text| Self::Text(Some(text)))
            .map_err(|e| broken(format!("this is not JSON: {e}")))
    }
}

macro_rules! values {
    ($($type:ty => |$from:ident| $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($from: $type) -> Self { $value }
        })*
    };
}

values! {
    &str => |text| Self::Text(Some(text.to_owned()));
    &String => |text| Self::Text(Some(text.clone()));
    Option<&str> => |text| Self::Text(text.map(str::to_owned));
    &Option<String> => |text| Self::Text(text.clone());
    &SessionId => |id| id.as_str().into();
    &GrantId => |id| id.as_str().into();
    &ClientId => |id| id.as_str().into();
    &ConnectorId => |id| id.as_str().into();
    i64 => |int| Self::Int(Some(int));
    bool => |yes| Self::Int(Some(i64::from(yes)));
    Timestamp => |at| Self::Int(Some(at.millis()));
    Option<Timestamp> => |at| Self::Int(at.map(Timestamp::millis));
}
