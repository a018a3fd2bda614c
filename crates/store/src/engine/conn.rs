//! A connection of either engine, with the same SQL text for both. Values are bound and never part of the text.

#[cfg(test)]
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Sqlite};

use crate::StoreError;
use crate::error::{is_conflict, is_outcome_known, is_read_only};
use crate::shared::Shared;

pub(crate) use super::row::{Columns, Row};
use super::sql::{Sql, Statements, Value, refuse_nul};

/// The connection of one operation. Within a write operation everything is one transaction.
pub(crate) struct Conn<'c> {
    link: Link<'c>,
    pub(crate) shared: Shared,
    /// A statement conflicted with another transaction (PostgreSQL); the operation may be run again.
    pub(crate) has_conflict: bool,
    /// An earlier attempt of this operation may have been committed: its answer was lost (PostgreSQL).
    pub(crate) may_have_run: bool,
    /// A statement was sent and its result was lost with the connection.
    pub(super) has_lost_result: bool,
    /// A writing statement was refused because the server is read-only (PostgreSQL).
    pub(super) is_read_only: bool,
}

enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl<'c> Conn<'c> {
    pub(crate) fn sqlite(connection: &'c mut SqliteConnection, shared: &Shared) -> Self {
        Self::new(Link::Sqlite(connection), shared)
    }

    pub(crate) fn postgres(connection: &'c mut PgConnection, shared: &Shared) -> Self {
        Self::new(Link::Postgres(connection), shared)
    }

    fn new(link: Link<'c>, shared: &Shared) -> Self {
        Self {
            link,
            shared: shared.clone(),
            has_conflict: false,
            may_have_run: false,
            has_lost_result: false,
            is_read_only: false,
        }
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.link, Link::Postgres(_))
    }

    /// The first row of a SELECT. No stored text has a NUL, so a value with one matches no row.
    pub(crate) async fn select_one(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        if values.iter().any(Value::has_nul) {
            return Ok(None);
        }
        let sql = SqlStr::from_static(sql);
        self.shared.count_read();
        self.shared.count_message();
        #[cfg(test)]
        self.explain(&sql, values).await;
        let row = match &mut self.link {
            Link::Sqlite(c) => sqlite_query(sql, values)
                .fetch_optional(&mut **c)
                .await
                .map(|row| row.map(Row::Sqlite)),
            Link::Postgres(c) => postgres_query(sql, values)
                .fetch_optional(&mut **c)
                .await
                .map(|row| row.map(Row::Postgres)),
        };
        row.map_err(|e| self.failed(e))
    }

    /// The rows of a SELECT. No stored text has a NUL, so a value with one matches no row.
    pub(crate) async fn select(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        self.select_text(SqlStr::from_static(sql), values).await
    }

    /// Like [`Conn::select`], for a statement built at run time.
    pub(crate) async fn select_built(&mut self, sql: &Sql) -> Result<Vec<Row>, StoreError> {
        let text = AssertSqlSafe(sql.text.clone()).into_sql_str();
        self.select_text(text, &sql.values).await
    }

    async fn select_text(&mut self, sql: SqlStr, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        if values.iter().any(Value::has_nul) {
            return Ok(Vec::new());
        }
        self.shared.count_read();
        self.shared.count_message();
        #[cfg(test)]
        self.explain(&sql, values).await;
        self.fetch(sql, values).await
    }

    #[cfg(test)]
    async fn explain(&mut self, sql: &SqlStr, values: &[Value]) {
        if !self.shared.records_plans() {
            return;
        }
        let explain = match &self.link {
            Link::Sqlite(_) => "EXPLAIN QUERY PLAN",
            Link::Postgres(_) => "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)",
        };
        let text = AssertSqlSafe(format!("{explain} {}", sql.as_str())).into_sql_str();
        let line = |row: &Row| match row {
            Row::Sqlite(row) => row.try_get("detail").unwrap(),
            Row::Postgres(row) => row.try_get(0).unwrap(),
        };
        let lines = self.fetch(text, values).await.unwrap().iter().map(line).collect();
        self.shared.record_plan(crate::shared::Plan { sql: sql.as_str().to_owned(), lines });
    }

    /// Runs a writing statement with RETURNING and returns its rows.
    pub(crate) async fn returning(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        refuse_nul(values)?;
        self.shared.count_write();
        self.shared.count_message();
        self.fetch(SqlStr::from_static(sql), values).await
    }

    /// Runs a writing statement and returns the number of changed rows.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        self.execute_text(SqlStr::from_static(sql), values).await
    }

    /// Like [`Conn::execute`], for a statement built at run time.
    pub(crate) async fn execute_built(&mut self, sql: &Sql) -> Result<u64, StoreError> {
        let text = AssertSqlSafe(sql.text.clone()).into_sql_str();
        self.execute_text(text, &sql.values).await
    }

    /// Runs several writing statements and returns the total number of changed rows.
    pub(crate) async fn execute_all(&mut self, statements: Statements) -> Result<u64, StoreError> {
        if self.is_postgres() {
            let mut changed = 0;
            for statement in statements.list {
                let text = AssertSqlSafe(statement.sql.into_owned()).into_sql_str();
                changed += self.execute_text(text, &statement.values).await?;
            }
            return Ok(changed);
        }
        if statements.list.is_empty() {
            return Ok(0);
        }
        // They are sent as one text, but each counts as a statement.
        for _ in statements.list.iter().skip(1) {
            self.shared.count_write();
        }
        let (text, values) = statements.joined();
        self.execute_text(AssertSqlSafe(text).into_sql_str(), &values).await
    }

    async fn execute_text(&mut self, sql: SqlStr, values: &[Value]) -> Result<u64, StoreError> {
        refuse_nul(values)?;
        self.shared.count_write();
        self.shared.count_message();
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

    async fn fetch(&mut self, sql: SqlStr, values: &[Value]) -> Result<Vec<Row>, StoreError> {
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
        self.has_conflict |= is_conflict(&error);
        self.has_lost_result |= !is_outcome_known(&error);
        self.is_read_only |= is_read_only(&error);
        error.into()
    }
}

fn sqlite_query(sql: SqlStr, values: &[Value]) -> Query<'static, Sqlite, SqliteArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Int(int) => query.bind(*int),
    })
}

fn postgres_query(sql: SqlStr, values: &[Value]) -> Query<'static, Postgres, PgArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text.as_deref()),
        Value::Int(int) => query.bind(*int),
    })
}
