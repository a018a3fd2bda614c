//! Local users ("passwords" in Dex): those of the configuration file can be read, those of the database can also be
//! changed. And the refresh tokens of a user: Dex has one per client; here each login has its own, so a client may be
//! listed several times, and revoking ends all of them.

use std::net::{IpAddr, Ipv4Addr};

use countersign_core::{ClientId, Secret, StoredUser};
use countersign_issuer::admin::dex_api::PasswordVerification;
use tonic::Status;

use crate::api::{
    CreatePasswordReq, CreatePasswordResp, DeletePasswordReq, DeletePasswordResp, ListPasswordReq,
    ListPasswordResp, ListRefreshReq, ListRefreshResp, Password, RefreshTokenRef, RevokeRefreshReq,
    RevokeRefreshResp, UpdatePasswordReq, UpdatePasswordResp, VerifyPasswordReq,
    VerifyPasswordResp,
};
use crate::call::{Call, failed, is_done, refused};

pub async fn create(call: &Call, request: CreatePasswordReq) -> Result<CreatePasswordResp, Status> {
    let password = request.password.ok_or_else(|| refused("no password supplied"))?;
    if password.user_id.is_empty() {
        return Err(refused("no user ID supplied"));
    }
    let user = StoredUser {
        email: password.email,
        hash: hash_of(password.hash)?,
        username: password.username,
        user_id: password.user_id,
        // As in Dex, for users without the member.
        email_verified: true,
        ..StoredUser::default()
    };
    let outcome = call.issuer.create_user(&call.administrator, &user).await.map_err(failed)?;
    Ok(CreatePasswordResp { already_exists: !is_done(outcome, "password", "create")? })
}

/// Empty members are left unchanged.
pub async fn update(call: &Call, request: UpdatePasswordReq) -> Result<UpdatePasswordResp, Status> {
    if request.email.is_empty() {
        return Err(refused("no email supplied"));
    }
    if request.new_hash.is_empty() && request.new_username.is_empty() {
        return Err(refused("nothing to update"));
    }
    let hash = match request.new_hash.is_empty() {
        true => None,
        false => Some(hash_of(request.new_hash)?),
    };
    let change = |user: &mut StoredUser| {
        if let Some(hash) = &hash {
            user.hash = hash.clone();
        }
        if !request.new_username.is_empty() {
            user.username.clone_from(&request.new_username);
        }
    };
    let outcome = call.issuer.change_user(&call.administrator, &request.email, change).await;
    let is_done = is_done(outcome.map_err(failed)?, "password", "update")?;
    Ok(UpdatePasswordResp { not_found: !is_done })
}

pub async fn delete(call: &Call, request: DeletePasswordReq) -> Result<DeletePasswordResp, Status> {
    if request.email.is_empty() {
        return Err(refused("no email supplied"));
    }
    let outcome = call.issuer.delete_user(&call.administrator, &request.email).await;
    let is_done = is_done(outcome.map_err(failed)?, "password", "delete")?;
    Ok(DeletePasswordResp { not_found: !is_done })
}

/// Lists users without hashes.
pub async fn list(call: &Call, _: ListPasswordReq) -> Result<ListPasswordResp, Status> {
    let users = call.issuer.users().await.map_err(failed)?;
    let password = |user: StoredUser| Password {
        email: user.email,
        hash: Vec::new(),
        username: user.username,
        user_id: user.user_id,
    };
    Ok(ListPasswordResp { passwords: users.into_iter().map(password).collect() })
}

pub async fn verify(call: &Call, request: VerifyPasswordReq) -> Result<VerifyPasswordResp, Status> {
    let VerifyPasswordReq { email, password } = request;
    if email.is_empty() {
        return Err(refused("no email supplied"));
    }
    if password.is_empty() {
        return Err(refused("no password to verify supplied"));
    }
    let address = call.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let verified = call.issuer.verify_password(&email, Secret::new(password), address).await;
    let (verified, not_found) = match verified.map_err(failed)? {
        PasswordVerification::Correct => (true, false),
        PasswordVerification::Wrong => (false, false),
        PasswordVerification::UnknownUser => (false, true),
        PasswordVerification::RateLimited(wait) => {
            let seconds = wait.as_secs().max(1);
            return Err(Status::resource_exhausted(format!(
                "too many attempts: try again in {seconds} s"
            )));
        }
    };
    Ok(VerifyPasswordResp { verified, not_found })
}

fn hash_of(bytes: Vec<u8>) -> Result<Secret, Status> {
    if bytes.is_empty() {
        return Err(refused("no hash of password supplied"));
    }
    String::from_utf8(bytes).map(Secret::from).map_err(|_| refused("the hash is not text"))
}

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
