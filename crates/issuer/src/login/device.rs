//! The login of a user who approves a device (RFC 8628 section 3.3): it begins with a user code and ends with a
//! decision instead of a redirect.

use std::time::Duration;

use countersign_core::{
    DeviceRequest, DeviceRequestStatus, ResponseType, Session, Timestamp, UserCode, ids,
};
use countersign_jose::hash;
use countersign_store::{DecideDeviceRequest, DecideDeviceRequestOutcome};
use serde::{Deserialize, Serialize};

use super::rate_limit::counted_address;
use super::request::{AuthRequest, Prompt, ResponseMode};
use super::{Browser, PendingLogin, Step};
use crate::{Issuer, IssuerError};

/// The device request that a login is for. It is part of the pending login, and thus sealed to one browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceLogin {
    pub user_code: UserCode,
    pub address: String,
    pub user_agent: String,
    pub requested_at: Timestamp,
}

/// The result of entering a user code.
pub enum UserCodeOutcome {
    /// A login for this device request, which the user must confirm first.
    Found(Box<PendingLogin>),
    /// Unknown, expired or already decided. These are not distinguished, so that guessing reveals nothing.
    NotFound,
    /// Too many wrong codes: the next one is accepted after this time.
    RateLimited(Duration),
}

impl Issuer {
    /// Looks up a user code. Wrong codes are limited per user if one is signed in, otherwise per address (section 5.1);
    /// correct codes do not count.
    pub async fn find_device_request(
        &self,
        typed: &str,
        browser: &Browser,
    ) -> Result<UserCodeOutcome, IssuerError> {
        let session = self.session_for_any_client(browser.cookie.as_ref()).await?;
        let counted_by = match &session {
            Some(session) => format!("{}\n{}", session.connector, session.identity.user_id),
            None => counted_address(browser.address),
        };
        let now = self.now();
        if let Some(wait) = self.attempts.begin_user_code(&counted_by, now) {
            tracing::warn!(event = "user_code_delayed", address = %browser.address, "too many wrong user codes");
            return Ok(UserCodeOutcome::RateLimited(wait));
        }
        let Some(user_code) = UserCode::parse(typed) else { return Ok(UserCodeOutcome::NotFound) };
        let found =
            self.store.device_request_by_user_code(&hash::sha256(user_code.as_str())).await?;
        let pending = |request: &DeviceRequest| {
            request.status == DeviceRequestStatus::Pending && now < request.expires_at
        };
        let Some(request) = found.filter(pending) else {
            tracing::info!(event = "user_code_refused", address = %browser.address, "an unknown or expired user code");
            return Ok(UserCodeOutcome::NotFound);
        };
        self.attempts.user_code_found(&counted_by);
        let login = device_login(request, user_code)?;
        Ok(UserCodeOutcome::Found(Box::new(PendingLogin::new(login))))
    }

    /// Stores the decision of the session's user.
    pub(super) async fn decide_device_request(
        &self,
        pending: PendingLogin,
        device: &DeviceLogin,
        session: &Session,
        approve: bool,
    ) -> Result<Step, IssuerError> {
        let decision = DecideDeviceRequest {
            user_code_hash: hash::sha256(device.user_code.as_str()),
            session: session.id.clone(),
            user_id: session.identity.user_id.clone(),
            connector: session.connector.clone(),
            ip: session.ip.clone(),
            auth_time: session.auth_time,
            approve,
            now: self.now(),
        };
        match self.store.decide_device_request(decision).await? {
            DecideDeviceRequestOutcome::Decided => {
                let client = &pending.request.client;
                tracing::info!(event = if approve { "device_approved" } else { "device_denied" }, client = %client, session = %session.id, user_id = %session.identity.user_id, device_address = device.address, "a person decided about a device");
                Ok(Step::DeviceDecided { client: client.clone(), approved: approve })
            }
            DecideDeviceRequestOutcome::NotPending => Ok(Step::AlreadyFinished),
            DecideDeviceRequestOutcome::SessionEnded => Ok(Step::Expired),
        }
    }
}

/// The login that follows a user code; it ends at our own page instead of a redirect URI.
fn device_login(request: DeviceRequest, user_code: UserCode) -> Result<AuthRequest, IssuerError> {
    let device = DeviceLogin {
        user_code,
        address: request.address,
        user_agent: request.user_agent,
        requested_at: request.created_at,
    };
    Ok(AuthRequest {
        id: ids::random_id()?,
        client: request.client,
        redirect_uri: String::new(),
        response_type: ResponseType::CODE,
        response_mode: ResponseMode::Query,
        state: None,
        scopes: request.scopes,
        nonce: None,
        challenge: None,
        prompt: Prompt::default(),
        max_age: None,
        hint: None,
        login_hint: None,
        connector: None,
        account_page: None,
        device: Some(device),
        expires_at: request.expires_at,
    })
}
