//! Valid tokens for one login: cached while the issuer still accepts them, otherwise refreshed, otherwise by a new
//! login. All of this happens under the lock of the login's record, so that twenty concurrent `kubectl` processes cause
//! one refresh or one login.

mod failed_login;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use countersign_core::{Secret, Timestamp};

use crate::cache::{Cache, Failure, LockedRecord, LoginRecord, Tokens};
use crate::error::Error;
use crate::id_token::{Expected, IdTokenClaims};
use crate::issuer::{Issuer, TokenResponse};
use crate::profile::{LoginProfile, StoredSecret};
use crate::sign_in::{self, LoginRequest, Options};
use crate::terminal;

/// A token is replaced this long before it expires, and kubectl receives the earlier expiry.
pub const EARLY: Duration = Duration::from_secs(30);
/// How long cached tokens are used without checking that the issuer still accepts them.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How long an issuer that does not respond may delay a command whose tokens are valid, at each of two requests.
const CHECK_TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for another process beyond the login's own timeout.
const LOCK_MARGIN: Duration = Duration::from_secs(30);

/// How tokens are obtained, and how the user signs in if necessary.
pub struct TokenSource<'a> {
    pub cache: &'a Cache,
    pub profile: &'a LoginProfile,
    pub client_secret: Option<Secret>,
    pub options: &'a Options,
    /// `false`: without a valid login the result is [`Error::SignedOut`].
    pub may_sign_in: bool,
    /// A user reads standard error and can sign in.
    pub is_person_present: bool,
    /// A user has requested this just now. Otherwise no login is shown after one that failed.
    pub is_requested_by_person: bool,
    pub renewal: Renewal,
    pub now: fn() -> Timestamp,
}

/// Whether valid cached tokens are renewed anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    Nothing,
    Refresh,
    SignIn,
}

/// A token for the API server.
pub struct Credential {
    pub token: Secret,
    pub expires_at: Timestamp,
}

/// The tokens of a login confirmed by the issuer, and the lock of its record.
pub struct ValidLogin {
    pub record: LoginRecord,
    locked: LockedRecord,
}

impl ValidLogin {
    /// The file of its record.
    pub fn file(&self) -> &Path {
        self.locked.file()
    }
}

impl TokenSource<'_> {
    /// The ID token or the access token of the login.
    pub async fn credential(&self, uses_access_token: bool) -> Result<Credential, Error> {
        let login = self.valid_login().await?;
        let tokens = &login.record.tokens;
        let claims = claims_of(tokens.id_token.as_ref())
            .ok_or_else(|| self.invalid("the token response has no usable id_token"))?;
        let token = if uses_access_token { &tokens.access_token } else { &tokens.id_token };
        let Some(StoredSecret(token)) = token else {
            return Err(self.invalid("the token response has no access_token"));
        };
        // An access token may be opaque; if it is a JWT, its own expiry counts.
        let expires_at = IdTokenClaims::decode(token).unwrap_or(claims).expires_at;
        Ok(Credential { token: token.clone(), expires_at })
    }

    /// An ID token for a cluster's own client, exchanged for the login's access token (RFC 8693).
    pub async fn credential_for(&self, audience: &str) -> Result<Credential, Error> {
        let ValidLogin { mut record, locked } = self.valid_login().await?;
        let found = record.tokens.by_audience.get(audience).cloned();
        if let Some(claims) = claims_of(found.as_ref())
            && let Some(StoredSecret(token)) = found
            && claims.expires_at > (self.now)() + EARLY
        {
            return Ok(Credential { token, expires_at: claims.expires_at });
        }
        let Some(StoredSecret(access_token)) = record.tokens.access_token.clone() else {
            return Err(self.invalid("the token response has no access_token"));
        };
        let issuer = Issuer::discover(self.profile, self.client_secret(&record)).await?;
        let token = issuer.exchange(&access_token, audience, &self.profile.scope()).await?;
        let expected = Expected {
            issuer: &issuer.metadata.issuer,
            client_id: audience,
            nonce: None,
            now: (self.now)(),
        };
        let claims = IdTokenClaims::verify(&token, &expected)?;
        record.tokens.by_audience.insert(audience.to_owned(), StoredSecret(token.clone()));
        locked.write(&mut record).await?;
        Ok(Credential { token, expires_at: claims.expires_at })
    }

    /// The tokens of the login, confirmed by the issuer at most [`CHECK_INTERVAL`] ago.
    pub async fn valid_login(&self) -> Result<ValidLogin, Error> {
        let started_at = (self.now)();
        let wait_limit = self.options.timeout + LOCK_MARGIN;
        let locked = self.cache.lock(self.profile, wait_limit).await?;
        let mut record = locked.read().await?;
        let is_usable = self.renewal == Renewal::Nothing && self.expires_after(&record, EARLY);
        if let Some(Failure { at, reason, .. }) = &record.failure
            && *at >= started_at
            && !is_usable
        {
            return Err(Error::FailedInAnotherProcess { at: *at, reason: reason.clone() });
        }
        self.check_keyring(&record)?;
        if is_usable && self.is_recently_checked(&record) {
            return Ok(ValidLogin { record, locked });
        }
        let secret = self.client_secret(&record);
        let discovery = Box::pin(Issuer::discover(self.profile, secret));
        let discovered = match is_usable {
            true => self.within_check_time_limit(discovery).await,
            false => discovery.await,
        };
        let issuer = match discovered {
            Ok(issuer) => issuer,
            Err(error) => return self.unless_still_valid(error, record, locked),
        };
        if is_usable && is_accepted(&issuer, &record).await {
            record.checked_at = Some((self.now)());
            locked.update(&record)?;
            return Ok(ValidLogin { record, locked });
        }
        let mut end = None;
        if self.renewal != Renewal::SignIn
            && let Some(StoredSecret(refresh_token)) = record.tokens.refresh_token.clone()
        {
            match self.refresh(&issuer, &record, &refresh_token, &locked).await {
                Ok(record) => return Ok(ValidLogin { record, locked }),
                Err(error) if self.needs_login(&error, &record) => end = Some(error),
                Err(error) => return self.unless_still_valid(error, record, locked),
            }
        }
        let record = self.sign_in(&issuer, record, &locked, end).await?;
        Ok(ValidLogin { record, locked })
    }

    async fn within_check_time_limit(
        &self,
        discovery: impl Future<Output = Result<Issuer, Error>>,
    ) -> Result<Issuer, Error> {
        let limited = tokio::time::timeout(CHECK_TIME_LIMIT, discovery).await;
        limited.unwrap_or_else(|_| {
            let cause = format!("no response within {} s", CHECK_TIME_LIMIT.as_secs());
            Err(Error::Unreachable { url: self.profile.issuer.clone(), cause })
        })
    }

    /// If the record's tokens are in a keyring that cannot be read: an error unless a user is present who can sign in
    /// again, because the keyring may be readable a minute later.
    fn check_keyring(&self, record: &LoginRecord) -> Result<(), Error> {
        let Some(problem) = &record.unreadable else { return Ok(()) };
        let problem = problem.to_string();
        if !self.may_sign_in || !self.is_person_present {
            let command = self.login_command();
            return Err(Error::KeyringUnavailable { problem, command });
        }
        let text = format!(
            "The tokens of this login are in the system's keyring, and {problem}. Sign in again."
        );
        eprintln!("{}", terminal::wrapped("", &text));
        Ok(())
    }

    /// Uses unexpired tokens while the issuer is unreachable, because the API server still accepts them. The next attempt
    /// is made after [`CHECK_INTERVAL`]: it may take seconds, and other processes wait for it.
    fn unless_still_valid(
        &self,
        error: Error,
        mut record: LoginRecord,
        locked: LockedRecord,
    ) -> Result<ValidLogin, Error> {
        let is_temporary = error.is_temporary() || error.is_server_error();
        let may_stay = is_temporary && self.renewal == Renewal::Nothing;
        if !may_stay || !self.expires_after(&record, Duration::ZERO) {
            return Err(error);
        }
        record.checked_at = Some((self.now)());
        locked.update(&record)?;
        Ok(ValidLogin { record, locked })
    }

    /// Whether a new login follows a refresh that failed with this error. If the issuer failed, or its response has no
    /// usable ID token (Core 12.2 permits that), the refresh token may be valid, and only a person decides.
    fn needs_login(&self, error: &Error, record: &LoginRecord) -> bool {
        let is_unclear = error.is_server_error() || matches!(error, Error::InvalidResponse { .. });
        let is_expired = !self.expires_after(record, Duration::ZERO);
        error.refuses_refresh_token() || (is_unclear && is_expired && self.is_person_present)
    }

    fn login_command(&self) -> String {
        self.profile.login_command(self.cache.other_directory())
    }

    fn expires_after(&self, record: &LoginRecord, margin: Duration) -> bool {
        claims_of(record.tokens.id_token.as_ref())
            .is_some_and(|claims| claims.expires_at > (self.now)() + margin)
    }

    fn is_recently_checked(&self, record: &LoginRecord) -> bool {
        let now = (self.now)();
        // A check in the future means that the clock was set back.
        record.checked_at.is_some_and(|at| at <= now && now.since(at) < CHECK_INTERVAL)
    }

    fn client_secret(&self, record: &LoginRecord) -> Option<Secret> {
        let kept = record.tokens.client_secret.as_ref().map(|StoredSecret(secret)| secret);
        self.client_secret.as_ref().or(kept).cloned()
    }

    async fn refresh(
        &self,
        issuer: &Issuer,
        record: &LoginRecord,
        refresh_token: &Secret,
        locked: &LockedRecord,
    ) -> Result<LoginRecord, Error> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let mut tokens = issuer.token(&fields).await?;
        // RFC 6749 section 6: without a new refresh token the old one remains valid.
        tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
        let (claims, mut refreshed) = self.checked(issuer, tokens, None)?;
        refreshed.disk_reason.clone_from(&record.disk_reason);
        // OpenID Connect Core 12.2: sub MUST be the same.
        if claims_of(record.tokens.id_token.as_ref()).is_some_and(|b| b.subject != claims.subject) {
            locked.remove().await?;
            return Err(self.invalid("the refreshed ID token belongs to another user"));
        }
        locked.write(&mut refreshed).await?;
        Ok(refreshed)
    }

    /// Signs in. `end`: why the refresh token is invalid, printed before the login.
    async fn sign_in(
        &self,
        issuer: &Issuer,
        record: LoginRecord,
        locked: &LockedRecord,
        end: Option<Error>,
    ) -> Result<LoginRecord, Error> {
        let login_lock = self.permission_to_sign_in(&record, end.as_ref()).await?;
        let was_shown = Cell::new(false);
        let begun =
            self.failed_login(&record, end.as_ref(), "it was begun and not completed", true);
        let signed_in = sign_in::sign_in(&LoginRequest {
            issuer,
            profile: self.profile,
            options: self.options,
            is_person_present: self.is_person_present,
            // If this process is killed, for example by an editor that waits for a few seconds only, the next one must not
            // show another login.
            before_shown: &|| {
                was_shown.set(true);
                locked.update(&begun)?;
                self.cache.set_failed_login(begun.failure.as_ref())
            },
            now: self.now,
        })
        .await;
        let (page, checked) = match signed_in {
            Ok(signed_in) => {
                let nonce = signed_in.nonce.as_deref();
                (signed_in.page, self.checked(issuer, signed_in.tokens, nonce))
            }
            Err(error) => (None, Err(error)),
        };
        let checked = match checked {
            Ok((claims, mut record)) => {
                locked.write(&mut record).await?;
                if was_shown.get() {
                    self.cache.set_failed_login(None)?;
                }
                Ok((claims, record))
            }
            Err(error) => {
                let (reason, was_shown) = (error.to_string(), was_shown.get());
                let failed = self.failed_login(&record, end.as_ref(), &reason, was_shown);
                self.keep_failure(locked, failed, end.as_ref()).await?;
                Err(error)
            }
        };
        drop(login_lock);
        match (page, checked) {
            (Some(page), Ok((claims, record))) => {
                page.show_signed_in(&claims).await;
                Ok(record)
            }
            (Some(page), Err(error)) => {
                page.show_error(&error).await;
                Err(error)
            }
            (None, checked) => checked.map(|(_, record)| record),
        }
    }

    /// The record for a token response, after validating that its ID token is for this login.
    fn checked(
        &self,
        issuer: &Issuer,
        tokens: TokenResponse,
        nonce: Option<&str>,
    ) -> Result<(IdTokenClaims, LoginRecord), Error> {
        let Some(id_token) = &tokens.id_token else {
            return Err(self.invalid("the token response has no id_token"));
        };
        let now = (self.now)();
        let expected = Expected {
            issuer: &issuer.metadata.issuer,
            client_id: &self.profile.client_id,
            nonce,
            now,
        };
        let claims = IdTokenClaims::verify(id_token, &expected)?;
        let record = LoginRecord {
            profile: Some(self.profile.clone()),
            tokens: Tokens {
                id_token: tokens.id_token.map(StoredSecret),
                access_token: tokens.access_token.map(StoredSecret),
                refresh_token: tokens.refresh_token.map(StoredSecret),
                client_secret: issuer.client_secret().cloned().map(StoredSecret),
                ..Tokens::default()
            },
            checked_at: Some(now),
            ..LoginRecord::default()
        };
        Ok((claims, record))
    }

    fn invalid(&self, cause: &str) -> Error {
        Error::InvalidResponse { url: self.profile.issuer.clone(), cause: cause.to_owned() }
    }
}

/// True also if the issuer returned no access token, so that nothing can be checked, and if it does not respond.
async fn is_accepted(issuer: &Issuer, record: &LoginRecord) -> bool {
    match &record.tokens.access_token {
        Some(StoredSecret(access_token)) => {
            let check = issuer.accepts(access_token);
            tokio::time::timeout(CHECK_TIME_LIMIT, check).await.unwrap_or(true)
        }
        None => true,
    }
}

fn claims_of(token: Option<&StoredSecret>) -> Option<IdTokenClaims> {
    token.and_then(|StoredSecret(token)| IdTokenClaims::decode(token).ok())
}
