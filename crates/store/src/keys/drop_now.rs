//! Deleting a compromised signing key, although tokens signed with it may be valid.

use countersign_core::event::EventKind;
use countersign_core::{Actor, Event, Timestamp};
use serde_json::json;

use super::{SigningKeyRow, SigningKeys, insert_signing_key};
use crate::StoreError;
use crate::engine::conn::Conn;
use crate::engine::{Change, Operation};
use crate::error::corrupt;
use crate::events::record;

/// Deletes a compromised signing key, so that it verifies nothing any more.
#[derive(Clone, Debug)]
pub struct DropSigningKeyNow {
    pub kid: String,
    pub successor: Successor,
    pub by: Actor,
    pub now: Timestamp,
}

/// What signs when a key was dropped and no other one could.
#[derive(Clone, Debug)]
pub enum Successor {
    /// This key is added; its number is assigned when it is stored.
    New(SigningKeyRow),
    /// The key with this `kid`, which another service keeps. No stored key begins to sign before its time.
    OfSigner(String),
}

/// The result of dropping a signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedSigningKey {
    pub number: i64,
    /// The key that signs from now on.
    pub signing_kid: String,
    /// The successor was added, because no future key was published.
    pub successor_added: bool,
}

impl Operation for DropSigningKeyNow {
    type Output = Option<DroppedSigningKey>;
    const CHANGES: Option<Change> = Some(Change::Keys);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Output, StoreError> {
        // Locks every key, so that replicas that drop keys concurrently wait for each other.
        conn.execute("UPDATE signing_keys SET kid = kid", &[]).await?;
        let rows = SigningKeys.run(conn).await?;
        let Some(dropped) = rows.iter().find(|row| row.kid == self.kid) else { return Ok(None) };
        let newest = rows.last().map_or(0, |row| row.number);
        let for_access_tokens = dropped.access_tokens_only;
        let same_use = || rows.iter().filter(|row| row.access_tokens_only == for_access_tokens);
        let signing = same_use().rfind(|row| row.signs_from <= self.now);
        let waiting = same_use().find(|row| row.signs_from > self.now && row.kid != self.kid);
        let (signing_kid, successor_added) = match (&self.successor, signing, waiting) {
            (Successor::OfSigner(kid), ..) => (kid.clone(), false),
            // The dropped key was retired, or did not sign yet.
            (_, Some(row), _) if row.kid != self.kid => (row.kid.clone(), false),
            (_, _, Some(next)) => {
                conn.execute(
                    "UPDATE signing_keys SET signs_from = $2 WHERE number = $1",
                    &[next.number.into(), self.now.into()],
                )
                .await?;
                (next.kid.clone(), false)
            }
            // Without a key of their own, access tokens are signed with the key of ID tokens.
            (_, _, None) if for_access_tokens => {
                let others = rows.iter().filter(|row| !row.access_tokens_only);
                let instead = others.rev().find(|row| row.signs_from <= self.now);
                (instead.map(|row| row.kid.clone()).unwrap_or_default(), false)
            }
            (Successor::New(key), _, None) => {
                (self.add_successor(conn, key, newest + 1).await?, true)
            }
        };
        let number = dropped.number;
        let sql = "DELETE FROM signing_keys WHERE number = $1";
        conn.execute(sql, &[number.into()]).await?;
        let mut event = Event::by(&self.by, self.now, EventKind::KeyDropped);
        event.details = json!({ "number": number, "kid": self.kid, "signing_kid": signing_kid });
        record(conn, &event).await?;
        Ok(Some(DroppedSigningKey { number, signing_kid, successor_added }))
    }
}

impl DropSigningKeyNow {
    /// Adds the successor and returns its `kid`.
    async fn add_successor(
        &self,
        conn: &mut Conn<'_>,
        key: &SigningKeyRow,
        number: i64,
    ) -> Result<String, StoreError> {
        let successor = SigningKeyRow { number, signs_from: self.now, ..key.clone() };
        match insert_signing_key(conn, &successor).await? {
            true => Ok(successor.kid),
            false => Err(corrupt("the successor of a signing key exists already")),
        }
    }
}
