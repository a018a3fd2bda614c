//! The search columns of `sessions`: written with the identity, and filled at start-up in rows of an earlier version.

use countersign_core::{Session, SessionId};

use crate::engine::Operation;
use crate::engine::conn::Conn;
use crate::memberships::Holder;
use crate::names::SearchNames;
use crate::rows::{self, session_columns};
use crate::{Store, StoreError};

/// Rows per transaction.
const BATCH: i64 = 500;

impl Store {
    /// Fills rows of an earlier version. Safe while other replicas run.
    pub(crate) async fn fill_search_columns(&self) -> Result<(), StoreError> {
        while self.write(FillSearchColumns).await? {}
        Ok(())
    }
}

struct FillSearchColumns;

impl Operation for FillSearchColumns {
    /// True if there may be more.
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE search IS NULL ORDER BY id LIMIT $1"
        );
        let rows = conn.select(sql, &[BATCH.into()]).await?;
        for row in &rows {
            let session = rows::session(row)?;
            let names = SearchNames::of(&session.identity);
            if set_search_columns(conn, &session.id, &names, true).await? {
                add_memberships(conn, &session).await?;
            }
        }
        Ok(!rows.is_empty())
    }
}

/// For a session from before memberships were recorded: its groups count from its beginning.
async fn add_memberships(conn: &mut Conn<'_>, session: &Session) -> Result<(), StoreError> {
    let holder = Holder::of(session);
    holder.begin(conn, session.created_at).await?;
    match &session.ended {
        Some(ended) => holder.end(conn, ended.at).await,
        None => Ok(()),
    }
}

/// False if the row no longer exists or, with `only_unfilled`, was filled by another replica.
pub(crate) async fn set_search_columns(
    conn: &mut Conn<'_>,
    session: &SessionId,
    names: &SearchNames,
    only_unfilled: bool,
) -> Result<bool, StoreError> {
    let updated = conn
        .execute(
            "UPDATE sessions SET user_key = $2, login = $3, email = $4, search = $5 \
             WHERE id = $1 AND (search IS NULL OR $6 = 0)",
            &[
                session.into(),
                (&names.user_key).into(),
                (&names.login).into(),
                (&names.email).into(),
                (&names.search).into(),
                only_unfilled.into(),
            ],
        )
        .await?;
    Ok(updated == 1)
}
