//! The device authorization grant (RFC 8628) up to the decision of the user; the device then polls for tokens.
//!
//! | step | where | code |
//! |---|---|---|
//! | device authorization request (`POST /device/code`) | section 3.1 | [`Issuer::begin_device_authorization`] |
//! | the user enters the user code (`/device`) | section 3.3 | [`Issuer::find_device_request`] |
//! | the user logs in as for any client; approval is always required, and ends with a decision instead of a redirect | | [`crate::login`] |
//! | the device polls `/token` | section 3.4 | [`crate::token`] |
//!
//! A device request is the only row written before a user has authenticated. The number of pending requests is limited,
//! in total and per address, and they expire within minutes.

use std::net::IpAddr;
use std::time::Duration;

use countersign_core::session::Challenge;
use countersign_core::{
    Client, DeviceRequest, DeviceRequestStatus, GrantType, ResponseType, Scopes, Session, UserCode,
    ids, scopes,
};
use countersign_jose::hash;
use countersign_store::{AddDeviceRequestOutcome, DecideDeviceRequest, DecideDeviceRequestOutcome};
use serde::Serialize;

use crate::login::{
    AuthRequest, AuthorizationError, Browser, DeviceLogin, ErrorCode, POLL_INTERVAL, PendingLogin,
    Prompt, ResponseMode, Step, counted_address,
};
use crate::token::{TokenError, TokenErrorCode};
use crate::{Issuer, IssuerError};

/// Longest `User-Agent` of a device that is stored, in characters.
const MAX_USER_AGENT: usize = 200;
/// Attempts at drawing an unused user code. With thousands of pending requests among 20^8 codes, a collision is about
/// one in millions.
const USER_CODE_DRAWS: usize = 4;

/// The parameters of a device authorization request (section 3.1, and PKCE as Dex accepts it).
#[derive(Debug, Default)]
pub struct DeviceAuthorizationParams {
    pub scope: Option<Scopes>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
}

/// The origin of a device authorization request, as shown to the user.
#[derive(Clone, Debug)]
pub struct DeviceOrigin {
    pub address: IpAddr,
    pub user_agent: String,
}

/// The response to the device (section 3.2). Not `Debug`: both codes are secrets.
#[derive(Serialize)]
pub struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    /// Seconds.
    expires_in: u64,
    /// Seconds.
    interval: u64,
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
    /// The caller must have authenticated the client (section 3.1).
    pub async fn begin_device_authorization(
        &self,
        client: &Client,
        params: DeviceAuthorizationParams,
        origin: DeviceOrigin,
    ) -> Result<DeviceAuthorization, TokenError> {
        self.check_device_client(client)?;
        // A request without a scope is treated as `openid`, as in Dex.
        let requested = params.scope.unwrap_or_else(|| Scopes::parse(scopes::OPENID));
        let scopes = self.requested_scopes(&requested, client).map_err(refused)?;
        let challenge = self
            .parse_challenge(
                params.code_challenge.as_deref(),
                params.code_challenge_method.as_deref(),
            )
            .map_err(refused)?;
        self.store_device_request(client, scopes, challenge, &origin).await
    }

    fn check_device_client(&self, client: &Client) -> Result<(), TokenError> {
        if !self.settings.allows(GrantType::DeviceCode) {
            let reason = "The device authorization grant is not enabled (oauth2.grantTypes).";
            return Err(TokenError::refused(TokenErrorCode::UnsupportedGrantType, reason));
        }
        if !client.allows_device_flow() {
            let reason = "This client may not use the device authorization grant: add \
                       /device/callback to its redirectURIs.";
            return Err(TokenError::refused(TokenErrorCode::UnauthorizedClient, reason));
        }
        Ok(())
    }

    async fn store_device_request(
        &self,
        client: &Client,
        scopes: Scopes,
        challenge: Option<Challenge>,
        origin: &DeviceOrigin,
    ) -> Result<DeviceAuthorization, TokenError> {
        let (now, policy) = (self.now(), self.settings.device);
        for _ in 0..USER_CODE_DRAWS {
            let (device_code, user_code) = (ids::random_token()?, UserCode::random()?);
            let request = DeviceRequest {
                device_code_hash: hash::sha256(&device_code),
                user_code_hash: hash::sha256(user_code.as_str()),
                client: client.id.clone(),
                scopes: scopes.clone(),
                challenge: challenge.clone(),
                address: origin.address.to_canonical().to_string(),
                counted_address: counted_address(origin.address),
                user_agent: origin.user_agent.chars().take(MAX_USER_AGENT).collect(),
                created_at: now,
                expires_at: now + policy.lifetime,
                status: DeviceRequestStatus::Pending,
            };
            match self.store.add_device_request(request, policy.limits).await? {
                AddDeviceRequestOutcome::Added => {
                    tracing::info!(event = "device_authorization_requested", client = %client.id, address = %origin.address, "a device requested a login");
                    return Ok(self.device_authorization(device_code, &user_code));
                }
                AddDeviceRequestOutcome::UserCodeInUse => {}
                AddDeviceRequestOutcome::TooManyFromAddress => {
                    tracing::warn!(event = "device_authorization_refused", client = %client.id, address = %origin.address, limit = "limits.deviceRequestsPerAddress", "too many device requests from this address");
                    let reason =
                        "Too many device requests from this address. Try again in some minutes.";
                    return Err(TokenError::refused(TokenErrorCode::TooManyRequests, reason));
                }
                AddDeviceRequestOutcome::TooMany => {
                    tracing::error!(event = "device_authorization_refused", client = %client.id, address = %origin.address, limit = "limits.deviceRequests", "too many device requests");
                    let reason = "Too many device requests are pending. Try again in some minutes.";
                    return Err(TokenError::refused(
                        TokenErrorCode::TemporarilyUnavailable,
                        reason,
                    ));
                }
            }
        }
        Err(IssuerError::Broken("every user code that was drawn is taken".to_owned()).into())
    }

    fn device_authorization(
        &self,
        device_code: String,
        user_code: &UserCode,
    ) -> DeviceAuthorization {
        let verification_uri = self.settings.issuer.endpoint("/device");
        DeviceAuthorization {
            device_code,
            verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
            user_code: user_code.to_string(),
            verification_uri,
            expires_in: self.settings.device.lifetime.as_secs(),
            interval: POLL_INTERVAL.as_secs(),
        }
    }
}

/// Maps an error of the authorization endpoint to the token endpoint's error format (section 3.2).
fn refused(error: AuthorizationError) -> TokenError {
    let code = match error.code {
        ErrorCode::InvalidScope => TokenErrorCode::InvalidScope,
        _ => TokenErrorCode::InvalidRequest,
    };
    TokenError::refused(code, error.description)
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
    pub(crate) async fn decide_device_request(
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
