//! Refresh tokens of a user. Dex has one per client; here each login has its own, so a client may be listed several
//! times, and revoking ends all of them.

use countersign_core::ClientId;
use tonic::Status;

use crate::api::{
    ListRefreshReq, ListRefreshResp, RefreshTokenRef, RevokeRefreshReq, RevokeRefreshResp,
};
use crate::call::Call;
use crate::call::{failed, refused};

pub async fn list_refresh_tokens(
    call: &Call,
    request: ListRefreshReq,
) -> Result<ListRefreshResp, Status> {
    let grants = call.issuer.refresh_tokens_of(&request.user_id).await.map_err(failed)?;
    let grants = grants.ok_or_else(not_a_subject)?;
    let reference = |grant: countersign_core::Grant| RefreshTokenRef {
        id: grant.id.to_string(),
        client_id: grant.client.to_string(),
        created_at: grant.created_at.secs(),
        last_used: grant.rotated_at.secs(),
    };
    Ok(ListRefreshResp { refresh_tokens: grants.into_iter().map(reference).collect() })
}

pub async fn revoke_refresh_tokens(
    call: &Call,
    request: RevokeRefreshReq,
) -> Result<RevokeRefreshResp, Status> {
    let (who, client) = (&call.administrator, ClientId::new(request.client_id));
    let ended = call.issuer.revoke_refresh_tokens(who, &request.user_id, &client).await;
    let ended = ended.map_err(failed)?.ok_or_else(not_a_subject)?;
    Ok(RevokeRefreshResp { not_found: ended == 0 })
}

fn not_a_subject() -> Status {
    refused("user_id is not the claim sub of a user of this issuer")
}
