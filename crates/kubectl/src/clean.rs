//! `clean`, a command of kubelogin: deletes the cached tokens without confirmation.

use std::time::Duration;

use crate::cache::Cache;
use crate::cli::CleanArguments;
use crate::error::Error;

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

pub async fn run(arguments: &CleanArguments) -> Result<(), Error> {
    let cache = &arguments.cache;
    let cache = Cache::open(cache.token_cache_dir.as_deref(), cache.token_cache_storage)?;
    let profiles = cache.profiles()?;
    for profile in &profiles {
        cache.lock(profile, LOCK_TIMEOUT).await?.remove()?;
    }
    eprintln!("Deleted the cached tokens of {} logins; they are still valid.", profiles.len());
    Ok(())
}
