//! Signing out: the refresh token is revoked at the issuer first, then everything is forgotten here.

use std::time::Duration;

use crate::cache::{LockedCache, StoredSecret};
use crate::cli::ClientArguments;
use crate::error::Error;
use crate::issuer::Issuer;

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Forgets the tokens also where the issuer cannot be reached, and then says that they were not revoked.
pub async fn run(arguments: &ClientArguments) -> Result<(), Error> {
    let cache = LockedCache::open(arguments, LOCK_TIMEOUT).await?;
    let refresh_token = cache.read()?.refresh_token;
    let revoked = match &refresh_token {
        Some(StoredSecret(token)) => match Issuer::discover(arguments).await {
            Ok(issuer) => issuer.revoke(token).await,
            Err(error) => Err(error),
        },
        None => Ok(true),
    };
    cache.remove()?;
    match revoked {
        Ok(true) => eprintln!("Signed out."),
        Ok(false) => {
            eprintln!("The cached tokens are deleted; this issuer has no revocation endpoint.")
        }
        Err(error) => {
            eprintln!("The cached tokens are deleted, but they were not revoked at the issuer.");
            return Err(error);
        }
    }
    Ok(())
}
