//! Local users ("passwords" in Dex): those of the configuration file can be read, those of the database can also be
//! changed.

use std::net::{IpAddr, Ipv4Addr};

use countersign_core::{Secret, StoredUser};
use countersign_issuer::admin::dex_api::PasswordVerification;
use tonic::Status;

use crate::api::{
    CreatePasswordReq, CreatePasswordResp, DeletePasswordReq, DeletePasswordResp, ListPasswordReq,
    ListPasswordResp, Password, UpdatePasswordReq, UpdatePasswordResp, VerifyPasswordReq,
    VerifyPasswordResp,
};
use crate::call::Call;
use crate::call::{failed, is_done, refused};

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
