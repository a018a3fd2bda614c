//! The exec credential: from the cache while the issuer still accepts it, else refreshed, else a new login.
//!
//! All of it happens under the lock of the cache, so that twenty `kubectl` at once cause one refresh or one login.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use countersign_core::{Secret, Timestamp};

use crate::cache::{CachedTokens, LockedCache, StoredSecret};
use crate::cli::{ClientArguments, GetTokenArguments};
use crate::error::Error;
use crate::exec_credential::ExecInfo;
use crate::id_token::{Expected, IdTokenClaims};
use crate::issuer::{Issuer, TokenResponse};
use crate::sign_in;

/// A token is replaced this long before it expires, and kubectl is told this earlier expiry.
const EARLY: Duration = Duration::from_secs(30);
/// How long a cached token is handed out without asking the issuer whether it is still accepted.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// Beyond the login's own timeout, how long to wait for another process.
const LOCK_MARGIN: Duration = Duration::from_secs(30);

/// Prints the credential.
pub async fn run(arguments: &GetTokenArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let info = ExecInfo::from_environment(std::io::stdin().is_terminal())?;
    let patience = arguments.authentication_timeout_sec + LOCK_MARGIN;
    let cache = LockedCache::open(&arguments.client, patience).await?;
    let source = TokenSource { arguments, info: &info, cache: &cache, now };
    let (token, expires_at) = source.token().await?;
    let mut line = info.answer(&token, expires_at - EARLY);
    line.push('\n');
    std::io::stdout()
        .write_all(line.as_bytes())
        .map_err(|cause| Error::Local(format!("cannot write to standard output: {cause}")))
}

/// Prints the claims of the cached ID token; asks nobody.
pub async fn print_claims(
    arguments: &ClientArguments,
    now: fn() -> Timestamp,
) -> Result<(), Error> {
    let cache = LockedCache::open(arguments, LOCK_MARGIN).await?;
    let Some(StoredSecret(token)) = cache.read()?.id_token else {
        return Err(Error::Local(
            "no ID token is cached; run get-token with the same flags".to_owned(),
        ));
    };
    let claims = IdTokenClaims::decode(&token)?;
    if claims.expires_at <= now() {
        eprintln!("This token expired at {}.", claims.expires_at);
    }
    let text = serde_json::to_string_pretty(&claims.all)
        .map_err(|cause| Error::Local(cause.to_string()))?;
    println!("{text}");
    Ok(())
}

/// A person who has just been signed in, or still is.
pub struct Session {
    pub issuer: Issuer,
    pub access_token: Secret,
    pub claims: IdTokenClaims,
}

/// Signs in if necessary, for a person at a terminal.
pub async fn signed_in_session(
    arguments: &GetTokenArguments,
    now: fn() -> Timestamp,
) -> Result<Session, Error> {
    let info = ExecInfo::for_a_person();
    let patience = arguments.authentication_timeout_sec + LOCK_MARGIN;
    let cache = LockedCache::open(&arguments.client, patience).await?;
    TokenSource { arguments, info: &info, cache: &cache, now }.token().await?;
    let cached = cache.read()?;
    let (Some(StoredSecret(id_token)), Some(StoredSecret(access_token))) =
        (cached.id_token, cached.access_token)
    else {
        return Err(Error::LoginFailed("the issuer gave no access token".to_owned()));
    };
    let issuer = Issuer::discover(&arguments.client).await?;
    Ok(Session { issuer, access_token, claims: IdTokenClaims::decode(&id_token)? })
}

struct TokenSource<'a> {
    arguments: &'a GetTokenArguments,
    info: &'a ExecInfo,
    cache: &'a LockedCache,
    now: fn() -> Timestamp,
}

impl TokenSource<'_> {
    async fn token(&self) -> Result<(Secret, Timestamp), Error> {
        let mut cached = self.cache.read()?;
        let unchecked = self.fresh(&cached);
        if let Some(found) = unchecked.filter(|_| self.is_recently_checked(&cached)) {
            return Ok(found);
        }
        let issuer = match Issuer::discover(&self.arguments.client).await {
            Ok(issuer) => issuer,
            // What is not expired is still good while the issuer cannot be asked.
            Err(error) if error.is_temporary() => return self.fresh(&cached).ok_or(error),
            Err(error) => return Err(error),
        };
        if let Some(found) = self.fresh(&cached) {
            if let Some(StoredSecret(access_token)) = &cached.access_token
                && issuer.accepts(access_token).await
            {
                cached.checked_at = Some((self.now)());
                self.cache.write(&cached)?;
                return Ok(found);
            }
        }
        if let Some(StoredSecret(refresh_token)) = cached.refresh_token.clone() {
            match self.refresh(&issuer, &cached, &refresh_token).await {
                Ok(found) => return Ok(found),
                Err(error) if error.is_invalid_grant() => eprintln!("{error}; signing in again"),
                Err(error) => return Err(error),
            }
        }
        self.sign_in(&issuer, cached).await
    }

    /// The cached token, if it is not about to expire and need not be replaced.
    fn fresh(&self, cached: &CachedTokens) -> Option<(Secret, Timestamp)> {
        if self.arguments.force_refresh {
            return None;
        }
        let StoredSecret(id_token) = cached.id_token.as_ref()?;
        let claims = IdTokenClaims::decode(id_token).ok()?;
        if claims.expires_at <= (self.now)() + EARLY {
            return None;
        }
        self.credential(cached).map(|token| (token, claims.expires_at))
    }

    fn is_recently_checked(&self, cached: &CachedTokens) -> bool {
        let Some(checked_at) = cached.checked_at else { return false };
        let now = (self.now)();
        // A check in the future is a clock that was set back.
        checked_at <= now && now.since(checked_at) < CHECK_INTERVAL
    }

    fn credential(&self, cached: &CachedTokens) -> Option<Secret> {
        let token = match self.arguments.oidc_use_access_token {
            true => cached.access_token.as_ref(),
            false => cached.id_token.as_ref(),
        };
        token.map(|StoredSecret(token)| token.clone())
    }

    async fn refresh(
        &self,
        issuer: &Issuer,
        cached: &CachedTokens,
        refresh_token: &Secret,
    ) -> Result<(Secret, Timestamp), Error> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let mut tokens = issuer.token(&fields).await?;
        // RFC 6749 section 6: without a new one the old one stays.
        tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
        let before = cached
            .id_token
            .as_ref()
            .and_then(|StoredSecret(token)| IdTokenClaims::decode(token).ok());
        let (claims, found) = self.keep(issuer, tokens, None)?;
        // OpenID Connect Core 12.2: a refreshed ID token is the same person's.
        if before.is_some_and(|before| before.subject != claims.subject) {
            self.cache.remove()?;
            let cause = "the refreshed ID token belongs to another user".to_owned();
            return Err(Error::InvalidResponse { url: issuer.metadata.issuer.clone(), cause });
        }
        Ok(found)
    }

    async fn sign_in(
        &self,
        issuer: &Issuer,
        cached: CachedTokens,
    ) -> Result<(Secret, Timestamp), Error> {
        if cached.login_failed_at.is_some()
            && !self.info.is_interactive
            && !self.arguments.force_refresh
        {
            return Err(Error::NotInteractive);
        }
        let signed_in =
            sign_in::sign_in(issuer, self.arguments, self.info.is_interactive, self.now).await;
        let kept = signed_in
            .and_then(|signed_in| self.keep(issuer, signed_in.tokens, signed_in.nonce.as_deref()));
        match kept {
            Ok((_, found)) => Ok(found),
            Err(error) => {
                let failed =
                    CachedTokens { login_failed_at: Some((self.now)()), ..CachedTokens::default() };
                self.cache.write(&failed)?;
                Err(error)
            }
        }
    }

    /// Checks the ID token and writes all tokens to the cache.
    fn keep(
        &self,
        issuer: &Issuer,
        tokens: TokenResponse,
        nonce: Option<&str>,
    ) -> Result<(IdTokenClaims, (Secret, Timestamp)), Error> {
        let url = issuer.metadata.issuer.clone();
        let Some(id_token) = &tokens.id_token else {
            let cause = "the token response has no id_token".to_owned();
            return Err(Error::InvalidResponse { url, cause });
        };
        let now = (self.now)();
        let client_id = &self.arguments.client.oidc_client_id;
        let expected = Expected { issuer: &url, client_id, nonce, now };
        let claims = IdTokenClaims::verify(id_token, &expected)?;
        let cached = CachedTokens {
            id_token: tokens.id_token.map(StoredSecret),
            access_token: tokens.access_token.map(StoredSecret),
            refresh_token: tokens.refresh_token.map(StoredSecret),
            checked_at: Some(now),
            login_failed_at: None,
        };
        self.cache.write(&cached)?;
        let Some(token) = self.credential(&cached) else {
            let cause = "the token response has no access_token".to_owned();
            return Err(Error::InvalidResponse { url, cause });
        };
        let expires_at = claims.expires_at;
        Ok((claims, (token, expires_at)))
    }
}
