//! Users: searched by name, and their display names by connector and user id.

use countersign_core::{ConnectorId, Identity, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row};
use crate::engine::sql::Sql;
use crate::names::{MAX_SEARCH_TEXT, exact, pattern};
use crate::page_cursor::page_size;
use crate::rows::{self, session_columns};
use crate::{Store, StoreError};

/// A user with a stored session, with the latest identity.
#[derive(Clone, Debug)]
pub struct Person {
    pub connector: ConnectorId,
    pub identity: Identity,
    /// When `identity` was received from the upstream.
    pub identity_at: Timestamp,
    pub last_seen: Timestamp,
    pub live_sessions: i64,
}

impl Store {
    /// Users with a stored session whose user id, login or e-mail address equals `text`, ignoring case; if there are
    /// none, those in which it is part of one of these or of the name. Most recently seen first.
    pub async fn find_people(&self, text: &str, limit: i64) -> Result<Vec<Person>, StoreError> {
        if text.len() > MAX_SEARCH_TEXT {
            return Ok(Vec::new());
        }
        self.read(FindPeople { text: text.to_owned(), limit: page_size(limit) }).await
    }

    /// The display name of each user, from their newest stored session; `None` without one. In the order given, in one
    /// statement; intended for one page of a list.
    pub async fn person_names(
        &self,
        persons: &[(ConnectorId, String)],
    ) -> Result<Vec<Option<String>>, StoreError> {
        match persons {
            [] => Ok(Vec::new()),
            persons => self.read(PersonNames(persons.to_vec())).await,
        }
    }
}

struct FindPeople {
    text: String,
    limit: i64,
}

macro_rules! people {
    ($whose:literal) => {
        concat!(
            "SELECT connector_id, user_id, MAX(last_seen) AS last_seen, \
             COUNT(CASE WHEN ended_at IS NULL THEN 1 END) AS live FROM sessions WHERE ",
            $whose,
            " GROUP BY connector_id, user_id \
             ORDER BY MAX(last_seen) DESC, connector_id, user_id LIMIT $2"
        )
    };
}

impl Operation for FindPeople {
    type Output = Vec<Person>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<Person>, StoreError> {
        let (exact_text, part) = (exact(&self.text), pattern(&self.text));
        let sql = people!(
            "id IN (SELECT id FROM sessions WHERE user_key = $1 UNION SELECT id FROM sessions \
             WHERE login = $1 UNION SELECT id FROM sessions WHERE email = $1)"
        );
        let mut rows = conn.select(sql, &[(&exact_text).into(), self.limit.into()]).await?;
        if rows.is_empty() {
            let sql = people!("search LIKE $1 ESCAPE '\\'");
            rows = conn.select(sql, &[(&part).into(), self.limit.into()]).await?;
        }
        let mut people = Vec::with_capacity(rows.len());
        for row in &rows {
            people.extend(person(conn, row).await?);
        }
        Ok(people)
    }
}

/// `None` if all their sessions were deleted meanwhile.
async fn person(conn: &mut Conn<'_>, row: &Row) -> Result<Option<Person>, StoreError> {
    let (connector, user_id) = (row.text("connector_id")?, row.text("user_id")?);
    let sql = concat!(
        "SELECT ",
        session_columns!(),
        " FROM sessions WHERE connector_id = $1 AND user_id = $2 \
         ORDER BY identity_at DESC, id DESC LIMIT 1"
    );
    let newest =
        conn.select_one(sql, &[connector.as_str().into(), user_id.as_str().into()]).await?;
    let Some(newest) = newest.as_ref().map(rows::session).transpose()? else { return Ok(None) };
    Ok(Some(Person {
        connector: newest.connector,
        identity: newest.identity,
        identity_at: newest.identity_at,
        last_seen: row.time("last_seen")?,
        live_sessions: row.int("live")?,
    }))
}

struct PersonNames(Vec<(ConnectorId, String)>);

impl PersonNames {
    fn sql(&self) -> Sql {
        let mut sql = Sql::default();
        for (n, (connector, user_id)) in (0_i64..).zip(&self.0) {
            sql.push(if n == 0 { "" } else { " UNION ALL " });
            sql.push("SELECT CAST(").bind(n).push(" AS BIGINT) AS position, identity ");
            sql.push("FROM (SELECT identity FROM sessions WHERE user_id = ").bind(user_id);
            sql.push(" AND connector_id = ").bind(connector);
            sql.push(" ORDER BY identity_at DESC LIMIT 1) AS newest");
        }
        sql
    }
}

impl Operation for PersonNames {
    type Output = Vec<Option<String>>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        let mut names = vec![None; self.0.len()];
        for row in conn.select_built(&self.sql()).await? {
            let identity: Identity = row.json("identity")?;
            let position = usize::try_from(row.int("position")?).unwrap_or(usize::MAX);
            if let Some(name) = names.get_mut(position) {
                *name = Some(identity.display_name().to_owned());
            }
        }
        Ok(names)
    }
}
