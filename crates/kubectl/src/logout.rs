//! `logout`: revokes the refresh token at the issuer, then deletes all cached tokens.

use std::time::Duration;

use serde_json::json;

use crate::cache::Cache;
use crate::cli::{CleanArguments, OutputFormat, SelectArguments};
use crate::error::Error;
use crate::issuer::Issuer;
use crate::profile::{LoginProfile, StoredSecret};
use crate::selection::Selection;
use crate::terminal::print_line;

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Deletes the tokens even if the issuer is unreachable, and then fails because they were not revoked.
pub async fn run(arguments: &SelectArguments) -> Result<(), Error> {
    let selection = Selection::or_empty(arguments)?;
    let mut results = Vec::new();
    for profile in selection.profiles() {
        results.push((profile, end(&selection.cache, profile).await));
    }
    if arguments.output == OutputFormat::Json {
        let logins: Vec<_> = results
            .iter()
            .map(|(profile, result)| {
                json!({"issuer": profile.issuer, "clientID": profile.client_id,
                       "revoked": matches!(result, Ok(true))})
            })
            .collect();
        print_line(&format!("{:#}", json!({ "loggedOut": logins })));
    }
    if results.is_empty() {
        eprintln!("Nobody was signed in.");
    }
    let mut failed = None;
    for (profile, result) in results {
        match result {
            Ok(true) => eprintln!("Signed out of {}.", profile.issuer),
            Ok(false) => eprintln!(
                "The tokens of {} are deleted; they could not be revoked, because the issuer has no revocation endpoint.",
                profile.issuer
            ),
            Err(error) => {
                eprintln!(
                    "The tokens of {} are deleted here, but they were not revoked at the issuer.",
                    profile.issuer
                );
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// `false`: the issuer has no revocation endpoint.
async fn end(cache: &Cache, profile: &LoginProfile) -> Result<bool, Error> {
    let locked = cache.lock(profile, LOCK_TIMEOUT).await?;
    let tokens = locked.read()?.tokens;
    let secret = tokens.client_secret.map(|StoredSecret(secret)| secret);
    let revoked = match &tokens.refresh_token {
        Some(StoredSecret(token)) => match Issuer::discover(profile, secret).await {
            Ok(issuer) => issuer.revoke(token).await,
            Err(error) => Err(error),
        },
        None => Ok(true),
    };
    locked.remove()?;
    revoked
}

/// `clean`, a command of kubelogin: deletes the cached tokens without confirmation.
pub async fn clean(arguments: &CleanArguments) -> Result<(), Error> {
    let cache = &arguments.cache;
    let cache = Cache::open(cache.token_cache_dir.as_deref(), cache.token_cache_storage)?;
    let profiles = cache.profiles()?;
    for profile in &profiles {
        cache.lock(profile, LOCK_TIMEOUT).await?.remove()?;
    }
    eprintln!("Deleted the cached tokens of {} logins; they are still valid.", profiles.len());
    Ok(())
}
