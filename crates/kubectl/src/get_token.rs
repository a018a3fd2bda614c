//! `get-token`: the exec credential plugin. Only the credential is written to standard output.

use std::io::{IsTerminal, Write};

use countersign_core::{Secret, Timestamp};

use crate::cache::Cache;
use crate::cli::GetTokenArguments;
use crate::error::Error;
use crate::exec_credential::ExecInfo;
use crate::token_source::{EARLY, Renewal, TokenSource};

/// Prints the credential, after a login if necessary.
pub async fn run(arguments: &GetTokenArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let info = ExecInfo::from_environment(std::io::stdin().is_terminal())?;
    let profile = arguments.profile();
    profile.check()?;
    let cache = Cache::open(
        arguments.cache.token_cache_dir.as_deref(),
        arguments.cache.token_cache_storage,
    )?;
    let secret = arguments.oidc_client_secret.as_ref().filter(|secret| !secret.is_empty());
    let options = arguments.sign_in_options();
    let source = TokenSource {
        cache: &cache,
        profile: &profile,
        client_secret: secret.map(Secret::new),
        options: &options,
        may_sign_in: true,
        // kubectl passes standard error through, whatever interactiveMode is.
        is_person_present: info.is_interactive || std::io::stderr().is_terminal(),
        renewal: if arguments.force_refresh { Renewal::Refresh } else { Renewal::Nothing },
        now,
    };
    let credential = match &arguments.audience {
        Some(audience) => source.credential_for(audience).await?,
        None => source.credential(arguments.oidc_use_access_token).await?,
    };
    let mut line = info.to_json(&credential.token, credential.expires_at - EARLY);
    line.push('\n');
    std::io::stdout()
        .write_all(line.as_bytes())
        .map_err(|cause| Error::Local(format!("cannot write to standard output: {cause}")))
}
