//! A use that may have been committed, and the operation that reverts it.

use countersign_core::{GrantId, Timestamp};

use crate::StoreError;
use crate::engine::Operation;
use crate::engine::conn::Conn;

/// A use that may have been committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unconfirmed {
    Code { hash: String, grant: GrantId },
    DeviceCode { hash: String, grant: GrantId },
    Rotation { grant: GrantId, from: i64, to: i64, mac_key: i64, at: Timestamp },
}

impl Unconfirmed {
    /// What a retry is found by: the hash of the code, or the grant of the refresh token.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Code { hash, .. } | Self::DeviceCode { hash, .. } => hash,
            Self::Rotation { grant, .. } => grant.as_str(),
        }
    }
}

/// Reverts it if it was committed and nobody has continued from it. Running it again changes nothing.
pub(super) struct Revert(pub(super) Unconfirmed);

impl Operation for Revert {
    /// True if the use had been committed.
    type Output = bool;
    async fn run(&self, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
        match &self.0 {
            Unconfirmed::Code { hash, grant } => revert_redemption(conn, &CODE, hash, grant).await,
            Unconfirmed::DeviceCode { hash, grant } => {
                revert_redemption(conn, &DEVICE_CODE, hash, grant).await
            }
            Unconfirmed::Rotation { grant, from, to, mac_key, at } => {
                let lock = "UPDATE grants SET generation = generation WHERE id = $1";
                conn.execute(lock, &[grant.into()]).await?;
                // A refresh token that another replica gave again stays.
                let sql = "UPDATE grants SET generation = $2 WHERE id = $1 AND generation = $3 \
                           AND mac_key = $4 AND rotated_at = $5 AND ended_at IS NULL \
                           AND (repeated_generation IS NULL OR repeated_generation <> $3)";
                let values =
                    [grant.into(), (*from).into(), (*to).into(), (*mac_key).into(), (*at).into()];
                Ok(from != to && conn.execute(sql, &values).await? == 1)
            }
        }
    }
}

/// The statements on the row of a code or device code.
struct Redemption {
    /// Changes nothing. The transaction may still be running and hold the row's lock; the next statement sees its
    /// outcome.
    lock: &'static str,
    revert: &'static str,
}

const CODE: Redemption = Redemption {
    lock: "UPDATE codes SET used_at = used_at WHERE hash = $1",
    revert: "UPDATE codes SET used_at = NULL, grant_id = NULL WHERE hash = $1 AND grant_id = $2",
};

const DEVICE_CODE: Redemption = Redemption {
    lock: "UPDATE device_requests SET status = status WHERE device_code_hash = $1",
    revert: "UPDATE device_requests SET status = 'approved', grant_id = NULL \
             WHERE device_code_hash = $1 AND grant_id = $2 AND status = 'used'",
};

async fn revert_redemption(
    conn: &mut Conn<'_>,
    redemption: &Redemption,
    hash: &str,
    grant: &GrantId,
) -> Result<bool, StoreError> {
    conn.execute(redemption.lock, &[hash.into()]).await?;
    // A grant that has ended meanwhile stays, because the value was also presented to another replica. Its row is
    // locked, so that one which is being ended is seen.
    let lock_live = "UPDATE grants SET generation = generation WHERE id = $1 AND ended_at IS NULL";
    if conn.execute(lock_live, &[grant.into()]).await? == 0 {
        return Ok(false);
    }
    if conn.execute(redemption.revert, &[hash.into(), grant.into()]).await? == 0 {
        return Ok(false);
    }
    // No client got its tokens.
    conn.execute("DELETE FROM grants WHERE id = $1", &[grant.into()]).await?;
    Ok(true)
}
