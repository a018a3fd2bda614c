//! The cached logins that a command applies to. A new login is never started here.

use countersign_core::{Secret, Timestamp};

use crate::cache::Cache;
use crate::cli::SelectArguments;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::profile::{LoginProfile, StoredSecret};
use crate::sign_in::Options;
use crate::token_source::{Renewal, TokenSource};

pub struct Selection {
    pub cache: Cache,
    profiles: Vec<LoginProfile>,
}

impl Selection {
    /// # Errors
    /// There is no login, or none at the issuer of the arguments.
    pub fn of(arguments: &SelectArguments) -> Result<Self, Error> {
        let selection = Self::or_empty(arguments)?;
        match (selection.profiles.is_empty(), &arguments.issuer) {
            (false, _) => Ok(selection),
            (true, Some(issuer)) => Err(Error::Local(format!(
                "you are not signed in at {issuer}; run: kubectl countersign login {issuer}"
            ))),
            (true, None) => Err(Error::Local(
                "you are not signed in; run: kubectl countersign login ISSUER_URL".to_owned(),
            )),
        }
    }

    /// As [`Self::of`], but an empty selection is not an error.
    pub fn or_empty(arguments: &SelectArguments) -> Result<Self, Error> {
        let directory = arguments.cache.token_cache_dir.as_deref();
        let cache = Cache::open(directory, arguments.cache.token_cache_storage)?;
        let issuer = arguments.issuer.as_ref().map(|url| url.as_str().trim_end_matches('/'));
        let mut profiles = cache.profiles()?;
        profiles.retain(|profile| {
            issuer.is_none_or(|issuer| profile.issuer.trim_end_matches('/') == issuer)
        });
        Ok(Self { cache, profiles })
    }

    pub fn profiles(&self) -> &[LoginProfile] {
        &self.profiles
    }

    /// Tokens of an existing login: refreshed when due, never by a new login.
    pub fn source<'a>(
        &'a self,
        profile: &'a LoginProfile,
        options: &'a Options,
        now: fn() -> Timestamp,
    ) -> TokenSource<'a> {
        TokenSource {
            cache: &self.cache,
            profile,
            client_secret: None,
            options,
            may_sign_in: false,
            is_person_present: false,
            is_requested_by_person: false,
            renewal: Renewal::Nothing,
            now,
        }
    }

    /// The issuer of a login and a valid access token for it.
    pub async fn connect(
        &self,
        profile: &LoginProfile,
        now: fn() -> Timestamp,
    ) -> Result<(Issuer, Secret), Error> {
        let options = Options::default();
        let login = self.source(profile, &options, now).valid_login().await?;
        let tokens = login.record.tokens;
        let secret = tokens.client_secret.map(|StoredSecret(secret)| secret);
        let Some(StoredSecret(access_token)) = tokens.access_token else {
            let cause = "the token response has no access_token".to_owned();
            return Err(Error::InvalidResponse { url: profile.issuer.clone(), cause });
        };
        Ok((Issuer::discover(profile, secret).await?, access_token))
    }
}
