//! Who had which group from when to when, and through which upstream. Written with the sign-in, the
//! change or the end it tells of; decides nothing.

use std::collections::BTreeSet;

use countersign_core::{ConnectorId, Identity, Session, SessionId, Timestamp};

use crate::engine::Operation;
use crate::engine::conn::{Conn, Row, Value};
use crate::names::key;
use crate::page::{Mark, cut, size};
use crate::{Store, StoreError};

/// Groups of one statement: most people have few, some have hundreds.
const FEW: usize = 8;
const MANY: usize = 40;

/// Who held a group, between two instants.
#[derive(Clone, Debug)]
pub struct MembershipQuery {
    /// Exactly, as in the claim `groups`.
    pub group: String,
    pub connector: Option<ConnectorId>,
    /// This instant and later.
    pub since: Timestamp,
    /// Before this instant.
    pub until: Timestamp,
    /// The `next` of the page before.
    pub after: Option<String>,
    /// At least 1, at most 500, whatever is asked.
    pub limit: i64,
}

/// One session's time in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub connector: ConnectorId,
    pub user_id: String,
    /// Name and e-mail address or login, as they were at the time.
    pub person: String,
    /// May be forgotten by now.
    pub session: SessionId,
    pub since: Timestamp,
    /// Since then no new token says so: the upstream took the group away, or the session was over.
    /// `None`: still.
    pub until: Option<Timestamp>,
    /// Tokens that say so were good until then at the latest; the group counts as held so long.
    /// `None` while it is held.
    pub tokens_until: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
pub struct MembershipPage {
    pub memberships: Vec<Membership>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

impl Store {
    /// The latest to get it first. An `after` that was never given is `NoSuchPage`.
    pub async fn memberships(&self, query: MembershipQuery) -> Result<MembershipPage, StoreError> {
        let after = query.after.as_deref().map(Mark::parse).transpose()?;
        self.read(Holders { query, after }).await
    }
}

struct Holders {
    query: MembershipQuery,
    after: Option<Mark>,
}

impl Operation for Holders {
    type Answer = MembershipPage;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<MembershipPage, StoreError> {
        let newest = Mark::before(self.query.until);
        let after = self.after.clone().map_or(newest.clone(), |mark| mark.or_later(newest));
        let limit = size(self.query.limit);
        let mut rows = conn
            .select(
                "SELECT connector_id, user_id, person, session_id, since, until, tokens_until \
                 FROM memberships WHERE group_name = $1 AND (since, session_id) < ($2, $3) \
                 AND (tokens_until IS NULL OR tokens_until > $4) \
                 AND ($5 IS NULL OR connector_id = $5) \
                 ORDER BY since DESC, session_id DESC LIMIT $6",
                &[
                    key(&self.query.group).as_str().into(),
                    after.at.into(),
                    after.id.as_str().into(),
                    self.query.since.into(),
                    self.query.connector.as_ref().map(ConnectorId::as_str).into(),
                    (limit + 1).into(),
                ],
            )
            .await?;
        let more = cut(&mut rows, limit);
        let memberships = rows.iter().map(membership).collect::<Result<Vec<_>, _>>()?;
        let last = memberships.last().filter(|_| more);
        let next = last.map(|last| Mark::new(last.since, &last.session).spell());
        Ok(MembershipPage { memberships, next })
    }
}

fn membership(row: &Row) -> Result<Membership, StoreError> {
    Ok(Membership {
        connector: ConnectorId::new(row.text("connector_id")?),
        user_id: row.text("user_id")?,
        person: row.text("person")?,
        session: SessionId::new(row.text("session_id")?),
        since: row.time("since")?,
        until: row.maybe_time("until")?,
        tokens_until: row.maybe_time("tokens_until")?,
    })
}

/// Somebody's session, which from now on gives these groups.
pub(crate) struct Holder<'a> {
    pub(crate) session: &'a SessionId,
    pub(crate) connector: &'a ConnectorId,
    pub(crate) identity: &'a Identity,
}

impl Holder<'_> {
    /// All of the identity's groups.
    pub(crate) async fn begin(
        &self,
        conn: &mut Conn<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.gain(conn, &keys(self.identity), now).await
    }

    /// From the groups of `before` to the identity's.
    pub(crate) async fn change(
        &self,
        conn: &mut Conn<'_>,
        before: &Identity,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (was, is) = (keys(before), keys(self.identity));
        let lost = was.difference(&is).cloned().collect();
        let gained = is.difference(&was).cloned().collect();
        self.lose(conn, &lost, now).await?;
        self.gain(conn, &gained, now).await
    }

    async fn gain(
        &self,
        conn: &mut Conn<'_>,
        groups: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let person = person(self.identity);
        let own = || -> [Value; 5] {
            [
                self.session.into(),
                now.into(),
                self.connector.into(),
                (&self.identity.user_id).into(),
                (&person).into(),
            ]
        };
        for_each_bite(conn, groups, own, GAIN_FEW, GAIN_MANY).await
    }

    async fn lose(
        &self,
        conn: &mut Conn<'_>,
        groups: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let own = || [self.session.into(), now.into()];
        for_each_bite(conn, groups, own, LOSE_FEW, LOSE_MANY).await
    }
}

/// The statement once for every so many groups; what is left over of the last is null.
async fn for_each_bite<const N: usize>(
    conn: &mut Conn<'_>,
    groups: &BTreeSet<String>,
    own: impl Fn() -> [Value; N],
    few: &'static str,
    many: &'static str,
) -> Result<(), StoreError> {
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let (sql, bite) = if groups.len() <= FEW { (few, FEW) } else { (many, MANY) };
    for some in groups.chunks(bite) {
        let names = some.iter().copied().map(Some).chain(std::iter::repeat(None)).take(bite);
        let values: Vec<Value> = own().into_iter().chain(names.map(Value::from)).collect();
        conn.execute(sql, &values).await?;
    }
    Ok(())
}

/// Both engines call the columns of VALUES so.
macro_rules! gain {
    ($groups:literal) => {
        concat!(
            "INSERT INTO memberships \
             (session_id, group_name, since, connector_id, user_id, person) \
             SELECT $1, column1, $2, $3, $4, $5 FROM (VALUES ",
            $groups,
            ") AS held WHERE column1 IS NOT NULL \
             ON CONFLICT (session_id, group_name, since) \
             DO UPDATE SET until = NULL, tokens_until = NULL"
        )
    };
}

/// Ended grants count too: their tokens live on. One that was forgotten has none that live.
macro_rules! over {
    ($which:expr) => {
        concat!(
            "UPDATE memberships SET until = $2, tokens_until = (SELECT MAX(at) FROM (\
             SELECT tokens_until AS at FROM grants WHERE session_id = $1 UNION ALL SELECT $2) AS x) \
             WHERE session_id = $1 AND until IS NULL",
            $which
        )
    };
}

macro_rules! lose {
    ($groups:literal) => {
        over!(concat!(" AND group_name IN (", $groups, ")"))
    };
}

const GAIN_FEW: &str = gain!("($6), ($7), ($8), ($9), ($10), ($11), ($12), ($13)");
const GAIN_MANY: &str = gain!(
    "($6), ($7), ($8), ($9), ($10), ($11), ($12), ($13), ($14), ($15), ($16), ($17), ($18), ($19), \
     ($20), ($21), ($22), ($23), ($24), ($25), ($26), ($27), ($28), ($29), ($30), ($31), ($32), \
     ($33), ($34), ($35), ($36), ($37), ($38), ($39), ($40), ($41), ($42), ($43), ($44), ($45)"
);
const LOSE_FEW: &str = lose!("$3, $4, $5, $6, $7, $8, $9, $10");
const LOSE_MANY: &str = lose!(
    "$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
     $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, \
     $42"
);

/// The session gives nothing any more: it ended, or was forgotten. Its grants must still be there.
pub(crate) async fn end(
    conn: &mut Conn<'_>,
    session: &SessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    conn.execute(over!(""), &[session.into(), now.into()]).await?;
    Ok(())
}

/// For a session that was there before memberships were: it counts from its beginning.
pub(crate) async fn remember(conn: &mut Conn<'_>, session: &Session) -> Result<(), StoreError> {
    let Session { id, connector, identity, created_at, .. } = session;
    Holder { session: id, connector, identity }.begin(conn, *created_at).await?;
    match &session.ended {
        Some(ended) => end(conn, id, ended.at).await,
        None => Ok(()),
    }
}

fn keys(identity: &Identity) -> BTreeSet<String> {
    identity.groups.iter().map(|group| key(group)).collect()
}

/// Whom an administrator recognises.
fn person(identity: &Identity) -> String {
    let Identity { username, preferred_username, email, .. } = identity;
    let known_as = if email.is_empty() { preferred_username } else { email };
    let person = match (username.as_str(), known_as.as_str()) {
        (name, "") => name.to_owned(),
        ("", known_as) => known_as.to_owned(),
        (name, known_as) if name == known_as => name.to_owned(),
        (name, known_as) => format!("{name} <{known_as}>"),
    };
    person.replace('\0', " ")
}
