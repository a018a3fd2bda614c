//! Clients, local users and connectors that are not in the configuration file. Documents arrive sealed.

use countersign_core::{Event, Secret, Timestamp};

use crate::engine::conn::{Conn, Row};
use crate::engine::{Change, Operation};
use crate::error::corrupt;
use crate::events::record;
use crate::{Store, StoreError};

/// The kind of a stored object; stored by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Client,
    User,
    Connector,
}

impl ObjectKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::User => "user",
            Self::Connector => "connector",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Client, Self::User, Self::Connector].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A stored object. The id is the client's, the connector's, or the user's e-mail address in lower case.
#[derive(Clone, Debug)]
pub struct StoredObject {
    pub kind: ObjectKind,
    pub id: String,
    /// JSON, sealed under the root key where there is one.
    pub document: Secret,
}

/// A change of one object, with its event.
#[derive(Clone, Debug)]
pub struct ObjectChange {
    pub object: StoredObject,
    pub event: Event,
}

impl Store {
    /// The version, which every change of an object increases.
    pub async fn stored_objects_version(&self) -> Result<i64, StoreError> {
        self.read(ReadVersion).await
    }

    pub async fn stored_objects(&self) -> Result<Vec<StoredObject>, StoreError> {
        self.read(ReadObjects).await
    }

    pub async fn stored_object(
        &self,
        kind: ObjectKind,
        id: &str,
    ) -> Result<Option<StoredObject>, StoreError> {
        self.read(ReadObject(kind, id.to_owned())).await
    }

    /// False if there is one of this kind and id already.
    pub async fn create_object(&self, change: ObjectChange) -> Result<bool, StoreError> {
        self.write(Create(change)).await
    }

    /// False if the document is no longer `previous`, because it was changed or deleted meanwhile.
    pub async fn replace_object(
        &self,
        change: ObjectChange,
        previous: Secret,
    ) -> Result<bool, StoreError> {
        self.write(Replace { change, previous }).await
    }

    /// Replaces the sealed form of an object whose content is unchanged, so no event is recorded and no replica reads
    /// it again. False if the object was changed meanwhile.
    pub async fn reseal_object(
        &self,
        object: StoredObject,
        previous: Secret,
    ) -> Result<bool, StoreError> {
        self.write(Reseal { object, previous }).await
    }

    /// False if there is no such object.
    pub async fn delete_object(&self, change: ObjectChange) -> Result<bool, StoreError> {
        self.write(Delete(change)).await
    }
}

struct ReadVersion;

impl Operation for ReadVersion {
    type Output = i64;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<i64, StoreError> {
        let sql = "SELECT number FROM stored_objects_version WHERE id = 1";
        let row = conn.select_one(sql, &[]).await?;
        row.ok_or_else(|| corrupt("stored_objects_version has no row"))?.int("number")
    }
}

struct ReadObjects;

impl Operation for ReadObjects {
    type Output = Vec<StoredObject>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<StoredObject>, StoreError> {
        let sql = "SELECT kind, id, document FROM stored_objects ORDER BY kind, id";
        let rows = conn.select(sql, &[]).await?;
        rows.iter().map(object).collect()
    }
}

struct ReadObject(ObjectKind, String);

impl Operation for ReadObject {
    type Output = Option<StoredObject>;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<StoredObject>, StoreError> {
        let sql = "SELECT kind, id, document FROM stored_objects WHERE kind = $1 AND id = $2";
        let Self(kind, id) = self;
        let row = conn.select_one(sql, &[kind.as_str().into(), id.into()]).await?;
        row.as_ref().map(object).transpose()
    }
}

fn object(row: &Row) -> Result<StoredObject, StoreError> {
    let kind = row.text("kind")?;
    Ok(StoredObject {
        kind: ObjectKind::parse(&kind)
            .ok_or_else(|| corrupt(format!("unknown stored_objects.kind: {kind}")))?,
        id: row.text("id")?,
        document: row.text("document")?.into(),
    })
}

struct Create(ObjectChange);

impl Operation for Create {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::StoredObjects);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let ObjectChange { object, event } = &self.0;
        let is_new = insert_object(conn, object, event.at).await?;
        changed(conn, is_new, event).await
    }
}

/// False if there is one of this kind and id already.
pub(crate) async fn insert_object(
    conn: &mut Conn<'_>,
    object: &StoredObject,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let written = conn
        .execute(
            "INSERT INTO stored_objects (kind, id, document, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING",
            &[
                object.kind.as_str().into(),
                (&object.id).into(),
                object.document.expose().into(),
                now.into(),
            ],
        )
        .await?;
    Ok(written == 1)
}

struct Replace {
    change: ObjectChange,
    previous: Secret,
}

impl Operation for Replace {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::StoredObjects);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let ObjectChange { object, event } = &self.change;
        let written = conn
            .execute(
                "UPDATE stored_objects SET document = $3, updated_at = $4 \
                 WHERE kind = $1 AND id = $2 AND document = $5",
                &[
                    object.kind.as_str().into(),
                    (&object.id).into(),
                    object.document.expose().into(),
                    event.at.into(),
                    self.previous.expose().into(),
                ],
            )
            .await?;
        changed(conn, written == 1, event).await
    }
}

struct Reseal {
    object: StoredObject,
    previous: Secret,
}

impl Operation for Reseal {
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let Self { object, previous } = self;
        let values = [
            object.kind.as_str().into(),
            (&object.id).into(),
            object.document.expose().into(),
            previous.expose().into(),
        ];
        let sql =
            "UPDATE stored_objects SET document = $3 WHERE kind = $1 AND id = $2 AND document = $4";
        Ok(conn.execute(sql, &values).await? == 1)
    }
}

struct Delete(ObjectChange);

impl Operation for Delete {
    type Output = bool;
    const CHANGES: Option<Change> = Some(Change::StoredObjects);
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        let ObjectChange { object, event } = &self.0;
        let sql = "DELETE FROM stored_objects WHERE kind = $1 AND id = $2";
        let values = [object.kind.as_str().into(), (&object.id).into()];
        let deleted = conn.execute(sql, &values).await? == 1;
        changed(conn, deleted, event).await
    }
}

async fn changed(conn: &mut Conn<'_>, is_done: bool, event: &Event) -> Result<bool, StoreError> {
    if is_done {
        raise_version(conn).await?;
        record(conn, event).await?;
    }
    Ok(is_done)
}

/// Increases the version, so that every replica reads the objects again.
pub(crate) async fn raise_version(conn: &mut Conn<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE stored_objects_version SET number = number + 1 WHERE id = 1";
    conn.execute(sql, &[]).await?;
    Ok(())
}
