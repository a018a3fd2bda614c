//! The rows of a SELECT. Single columns are read by name, the many columns of a session or grant by position.

use countersign_core::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Decode, Postgres, Row as _, Sqlite, Type};

use crate::StoreError;
use crate::error::corrupt;

/// A row of either engine, read by column name.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Consecutive columns of a row, read by position: looking up thirty names takes longer than reading thirty values.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl Row {
    /// The column of this name and those after it.
    pub(crate) fn columns(&self, first: &str) -> Result<Columns<'_>, StoreError> {
        let next = match self {
            Self::Sqlite(row) => row.try_column(first)?.ordinal(),
            Self::Postgres(row) => row.try_column(first)?.ordinal(),
        };
        Ok(Columns { row: self, next })
    }

    fn name(&self, column: usize) -> &str {
        match self {
            Self::Sqlite(row) => row.columns().get(column).map_or("", Column::name),
            Self::Postgres(row) => row.columns().get(column).map_or("", Column::name),
        }
    }

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
        self.maybe_text(column)?.ok_or_else(|| corrupt(format!("{column} is null")))
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| corrupt(format!("{column} is null")))
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(crate) fn maybe_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_int(column)?.map(Timestamp::from_millis))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        parsed(column, &self.text(column)?)
    }
}

/// Each function takes the name of the next column, for errors and to check the order.
impl Columns<'_> {
    fn value<T>(&mut self, name: &str) -> Result<Option<T>, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>,
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let column = self.next;
        debug_assert!(self.row.name(column).ends_with(name), "the column {column} is not {name}");
        self.next += 1;
        Ok(match self.row {
            Row::Sqlite(row) => row.try_get(column)?,
            Row::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn maybe_text(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.value(name)
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, StoreError> {
        self.value(name)?.ok_or_else(|| corrupt(format!("{name} is null")))
    }

    pub(crate) fn int(&mut self, name: &str) -> Result<i64, StoreError> {
        self.value(name)?.ok_or_else(|| corrupt(format!("{name} is null")))
    }

    pub(crate) fn time(&mut self, name: &str) -> Result<Timestamp, StoreError> {
        self.int(name).map(Timestamp::from_millis)
    }

    pub(crate) fn maybe_time(&mut self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.value(name)?.map(Timestamp::from_millis))
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, StoreError> {
        parsed(name, &self.text(name)?)
    }
}

fn parsed<T: DeserializeOwned>(column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|e| corrupt(format!("{column} is not what it was written as: {e}")))
}
