//! SAML assertions that completed a login: each completes one, on whichever replica.

use countersign_core::Timestamp;

use crate::StoreError;
use crate::engine::conn::Conn;

/// An assertion, as it is recorded when it completes a login.
#[derive(Clone, Debug)]
pub struct UsedAssertion {
    /// Hash of the connector and the assertion's ID.
    pub hash: String,
    /// When the login that the assertion belongs to has expired, so that nobody can present it again.
    pub expires_at: Timestamp,
}

/// False if it was used before. Of two transactions with the same assertion the second waits for the first.
pub(crate) async fn use_once(
    conn: &mut Conn<'_>,
    assertion: &UsedAssertion,
) -> Result<bool, StoreError> {
    let sql =
        "INSERT INTO used_assertions (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let values = [(&assertion.hash).into(), assertion.expires_at.into()];
    Ok(conn.execute(sql, &values).await? == 1)
}
