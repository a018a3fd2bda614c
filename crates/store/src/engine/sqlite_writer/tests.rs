//! The behaviour of a shared transaction when one operation fails: in its statement, at COMMIT, or by a full disk.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use tokio::sync::oneshot;

use super::{Database, Job, Queued};
use crate::StoreError;
use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::engine::sqlite_file::SqliteFile;
use crate::shared::Shared;

enum TestWrite {
    /// Writes the number.
    Write(i64),
    /// Writes, then returns an error.
    WriteAndFail(i64),
    /// Writes a violation that only COMMIT detects: a row with a deferred foreign key to a missing row.
    WriteOrphan(i64),
    /// Writes more than fits on the disk.
    Fill,
}

impl Operation for TestWrite {
    type Output = i64;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<i64, StoreError> {
        let insert = "INSERT INTO writes (number) VALUES ($1)";
        match self {
            Self::Write(number) => {
                conn.execute(insert, &[(*number).into()]).await?;
                Ok(*number)
            }
            Self::WriteAndFail(number) => {
                conn.execute(insert, &[(*number).into()]).await?;
                conn.execute("INSERT INTO nowhere (x) VALUES (1)", &[]).await?;
                Ok(*number)
            }
            Self::WriteOrphan(number) => {
                conn.execute(insert, &[(*number).into()]).await?;
                let orphan = "INSERT INTO children (parent) VALUES (4711)";
                conn.execute(orphan, &[]).await?;
                Ok(*number)
            }
            Self::Fill => {
                let long = "x".repeat(4_000_000);
                let sql = "INSERT INTO filler (text) VALUES ($1)";
                conn.execute(sql, &[long.as_str().into()]).await?;
                Ok(0)
            }
        }
    }
}

/// The database of these tests is in memory.
fn no_file() -> SqliteFile {
    SqliteFile::new(std::path::Path::new("/nonexistent/database"))
}

async fn database() -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(
        "PRAGMA foreign_keys = ON; CREATE TABLE writes (number BIGINT PRIMARY KEY); \
         CREATE TABLE filler (text TEXT); CREATE TABLE children \
         (parent BIGINT REFERENCES writes (number) DEFERRABLE INITIALLY DEFERRED);",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection
}

/// Runs all operations as one batch and returns their results.
async fn done(
    connection: &mut SqliteConnection,
    writes: Vec<TestWrite>,
) -> Vec<Result<i64, StoreError>> {
    counted(connection, writes).await.0
}

/// The results, and how many messages began, ended and separated transactions.
async fn counted(
    connection: &mut SqliteConnection,
    writes: Vec<TestWrite>,
) -> (Vec<Result<i64, StoreError>>, u64) {
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    let mut replies = Vec::new();
    for operation in writes {
        let (sender, receiver) = oneshot::channel();
        batch.push(Box::new(Queued {
            operation,
            shared: Shared::default(),
            outcome: None,
            sender,
        }));
        replies.push(receiver);
    }
    let (file, shared) = (no_file(), Shared::default());
    Database { connection, file: &file, shared: &shared }.write(batch).await;
    let mut results = Vec::new();
    for receiver in replies {
        results.push(receiver.await.unwrap());
    }
    (results, shared.statement_counts().transaction_messages)
}

async fn written(connection: &mut SqliteConnection) -> Vec<i64> {
    let rows = sqlx::query("SELECT number FROM writes ORDER BY number")
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn operations_share_begin_and_commit_and_have_no_savepoints() {
    let mut db = database().await;
    let writes = (1..=5).map(TestWrite::Write).collect();
    let (replies, messages) = counted(&mut db, writes).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!((written(&mut db).await, messages), (vec![1, 2, 3, 4, 5], 2));
    assert_eq!(counted(&mut db, vec![TestWrite::Write(6)]).await.1, 2);
}

#[tokio::test]
async fn a_failed_operation_rolls_back_only_itself() {
    let mut db = database().await;
    let writes = vec![
        TestWrite::Write(1),
        TestWrite::WriteAndFail(2),
        TestWrite::Write(3),
        TestWrite::Write(1),
        TestWrite::Write(4),
    ];
    let replies = done(&mut db, writes).await;
    assert!(matches!(replies[1], Err(StoreError::Corrupt(_))));
    assert!(matches!(replies[3], Err(StoreError::Corrupt(_))));
    assert!(replies[0].is_ok() && replies[2].is_ok() && replies[4].is_ok());
    assert_eq!(written(&mut db).await, [1, 3, 4]);
}

#[tokio::test]
async fn when_commit_fails_each_runs_once_alone() {
    let mut db = database().await;
    let writes = vec![
        TestWrite::Write(1),
        TestWrite::WriteOrphan(2),
        TestWrite::WriteAndFail(3),
        TestWrite::Write(4),
    ];
    let replies = done(&mut db, writes).await;
    assert!(replies[0].is_ok() && replies[3].is_ok());
    assert!(matches!(replies[1], Err(StoreError::Corrupt(_))), "answered before it was committed");
    assert!(replies[2].is_err());
    assert_eq!(written(&mut db).await, [1, 4]);
    assert_eq!(done(&mut db, vec![TestWrite::Write(5)]).await.len(), 1);
    assert_eq!(written(&mut db).await, [1, 4, 5], "the connection is usable afterwards");
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_passes() {
    let mut db = database().await;
    sqlx::raw_sql("PRAGMA max_page_count = 20").execute(&mut db).await.unwrap();
    let replies =
        done(&mut db, vec![TestWrite::Write(1), TestWrite::Fill, TestWrite::Write(2)]).await;
    assert!(matches!(replies[1], Err(StoreError::Unavailable(_))), "{replies:?}");
    assert!(replies[0].is_ok() && replies[2].is_ok());
    assert_eq!(written(&mut db).await, [1, 2]);

    sqlx::raw_sql("PRAGMA max_page_count = 1000000").execute(&mut db).await.unwrap();
    assert!(done(&mut db, vec![TestWrite::Fill]).await[0].is_ok());
}
