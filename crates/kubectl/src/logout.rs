//! `logout`: revokes the refresh token at the issuer, then deletes all cached tokens.

use std::time::Duration;

use serde_json::json;

use crate::cache::{Cache, Tokens};
use crate::cli::{CleanArguments, OutputFormat, SelectArguments};
use crate::error::Error;
use crate::issuer::Issuer;
use crate::profile::{LoginProfile, StoredSecret};
use crate::selection::Selection;
use crate::terminal::print_line;

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// What became of one login.
enum Outcome {
    Revoked,
    /// The issuer has no revocation endpoint.
    NotRevocable,
    /// Its tokens are deleted here, and the issuer may still accept them.
    NotRevoked(Error),
    /// Its tokens are still here.
    Kept(Error),
}

/// Deletes the tokens even if the issuer is unreachable, and then fails because they were not revoked. Tokens in a keyring
/// that cannot be read are kept, so that the command can be repeated.
pub async fn run(arguments: &SelectArguments) -> Result<(), Error> {
    let selection = Selection::or_empty(arguments)?;
    let mut results = Vec::new();
    for profile in selection.profiles() {
        let outcome = end(&selection.cache, profile).await.unwrap_or_else(Outcome::Kept);
        results.push((profile, outcome));
    }
    if arguments.output == OutputFormat::Json {
        let logins: Vec<_> = results
            .iter()
            .map(|(profile, outcome)| {
                json!({"issuer": profile.issuer, "clientID": profile.client_id,
                       "revoked": matches!(outcome, Outcome::Revoked)})
            })
            .collect();
        print_line(&format!("{:#}", json!({ "loggedOut": logins })));
    }
    if results.is_empty() {
        eprintln!("Nobody was signed in.");
    }
    let mut failed = None;
    for (profile, outcome) in results {
        match outcome {
            Outcome::Revoked => eprintln!("Signed out of {}.", profile.issuer),
            Outcome::NotRevocable => eprintln!(
                "The tokens of {} are deleted; they could not be revoked, because the issuer has no revocation endpoint.",
                profile.issuer
            ),
            Outcome::NotRevoked(error) => {
                eprintln!(
                    "The tokens of {} are deleted here, but the issuer did not confirm that they are revoked.",
                    profile.issuer
                );
                failed = Some(error);
            }
            Outcome::Kept(error) => {
                eprintln!("The tokens of {} are not deleted.", profile.issuer);
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// # Errors
/// The tokens are still here.
async fn end(cache: &Cache, profile: &LoginProfile) -> Result<Outcome, Error> {
    let locked = cache.lock(profile, LOCK_TIMEOUT).await?;
    let record = locked.read().await?;
    if let Some(problem) = &record.unreadable {
        return Err(Error::Local(format!("the tokens are in the system's keyring, and {problem}")));
    }
    let mut outcome = revoke(profile, &record.tokens).await;
    if let Some(tokens) = locked.tokens_left_in_keyring(&record).await {
        outcome = outcome.and(revoke(profile, &tokens).await);
    }
    locked.remove().await?;
    Ok(match outcome {
        Ok(true) => Outcome::Revoked,
        Ok(false) => Outcome::NotRevocable,
        Err(error) => Outcome::NotRevoked(error),
    })
}

/// `false`: the issuer has no revocation endpoint.
async fn revoke(profile: &LoginProfile, tokens: &Tokens) -> Result<bool, Error> {
    let Some(StoredSecret(token)) = &tokens.refresh_token else { return Ok(true) };
    let secret = tokens.client_secret.as_ref().map(|StoredSecret(secret)| secret.clone());
    Issuer::discover(profile, secret).await?.revoke(token).await
}

/// `clean`, a command of kubelogin: deletes the cached tokens without confirmation.
pub async fn clean(arguments: &CleanArguments) -> Result<(), Error> {
    let cache = &arguments.cache;
    let cache = Cache::open(cache.token_cache_dir.as_deref(), cache.token_cache_storage)?;
    let profiles = cache.profiles()?;
    let mut removed = Ok(());
    for profile in &profiles {
        removed = removed.and(cache.lock(profile, LOCK_TIMEOUT).await?.remove().await);
    }
    removed?;
    // Whoever cleans up asks for new logins.
    cache.set_failed_login(None)?;
    let count = profiles.len();
    eprintln!("Deleted the cached tokens of {count} logins; they were not revoked at the issuer.");
    Ok(())
}
