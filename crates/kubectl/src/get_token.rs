//! `get-token`: the exec credential plugin (`client.authentication.k8s.io`): input from the environment, an
//! `ExecCredential` as output. Only the credential is written to standard output.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use countersign_core::{Secret, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::cache::Cache;
use crate::cli::GetTokenArguments;
use crate::error::Error;
use crate::terminal;
use crate::token_source::{EARLY, Renewal, TokenSource};

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";
/// After this time without input on its terminal, a command is not taken for one that somebody has typed.
const IDLE_TERMINAL: Duration = Duration::from_mins(1);
/// The variable in which kubectl passes its input.
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// The input of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecInfo {
    /// The version that kubectl expects in the output.
    pub api_version: &'static str,
    /// Whether kubectl passes standard input through, so that a user can be prompted.
    pub is_interactive: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    api_version: String,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    interactive: bool,
}

impl ExecInfo {
    /// Reads the environment; without `KUBERNETES_EXEC_INFO` a user runs the command at a terminal. So does kubectl before
    /// 1.20, which knows v1beta1 only; whoever knows v1 sets the variable.
    pub fn from_environment(stdin_is_terminal: bool) -> Result<Self, Error> {
        let text = crate::environment_variable(EXEC_INFO).and_then(|text| text.into_string().ok());
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Self::parse(&text),
            None => Ok(Self { api_version: V1BETA1, is_interactive: stdin_is_terminal }),
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let input: Input = serde_json::from_str(text).map_err(|cause| {
            Error::Local(format!("{EXEC_INFO} is not an ExecCredential: {cause}"))
        })?;
        let api_version = match input.api_version.as_str() {
            V1 => V1,
            V1BETA1 => V1BETA1,
            other => {
                return Err(Error::Local(format!(
                    "{EXEC_INFO} has apiVersion {other:?}; expected {V1} or {V1BETA1}"
                )));
            }
        };
        Ok(Self { api_version, is_interactive: input.spec.interactive })
    }

    /// The JSON for standard output. kubectl runs the plugin again after `expires_at`.
    pub fn to_json(&self, token: &Secret, expires_at: Timestamp) -> String {
        json!({
            "kind": "ExecCredential",
            "apiVersion": self.api_version,
            "status": { "token": token.expose(), "expirationTimestamp": expires_at.to_string() },
        })
        .to_string()
    }
}

/// Prints the credential, after a login if necessary.
pub async fn run(arguments: &GetTokenArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let mut output = reserve_stdout().map_err(|cause| {
        Error::Local(format!("standard output cannot be kept for the credential: {cause}"))
    })?;
    let info = ExecInfo::from_environment(std::io::stdin().is_terminal())?;
    let profile = arguments.profile();
    profile.check()?;
    let cache = Cache::open(
        arguments.cache.token_cache_dir.as_deref(),
        arguments.cache.token_cache_storage,
    )?;
    let secret = arguments.oidc_client_secret.as_ref().filter(|secret| !secret.is_empty());
    let options = arguments.sign_in_options();
    // kubectl passes standard error through, whatever interactiveMode is.
    let is_person_present = info.is_interactive || std::io::stderr().is_terminal();
    // A loop, or a program such as k9s, may have a terminal all night.
    let is_idle = terminal::last_input().is_some_and(|at| at + IDLE_TERMINAL < now());
    let source = TokenSource {
        cache: &cache,
        profile: &profile,
        client_secret: secret.map(Secret::new),
        options: &options,
        may_sign_in: true,
        is_person_present,
        is_requested_by_person: is_person_present && !is_idle,
        renewal: if arguments.force_refresh { Renewal::Refresh } else { Renewal::Nothing },
        now,
    };
    let credential = match &arguments.audience {
        Some(audience) => source.credential_for(audience).await?,
        None => source.credential(arguments.oidc_use_access_token).await?,
    };
    let mut line = info.to_json(&credential.token, credential.expires_at - EARLY);
    line.push('\n');
    output
        .write_all(line.as_bytes())
        .map_err(|cause| Error::Local(format!("cannot write to standard output: {cause}")))
}

/// Standard output, for the credential alone. What this process and the programs that it starts write to standard output
/// from now on is on standard error: a browser in the terminal (`BROWSER=w3m`) inherits it.
fn reserve_stdout() -> std::io::Result<File> {
    let output = std::io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(File::from(output))
}

#[cfg(test)]
mod tests {
    use super::{ExecInfo, V1, V1BETA1};
    use countersign_core::{Secret, Timestamp};

    #[test]
    fn the_output_has_the_version_that_kubectl_expects() {
        let text = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":true}}"#;
        let info = ExecInfo::parse(text).unwrap();
        assert_eq!(info, ExecInfo { api_version: V1BETA1, is_interactive: true });
        let result = info.to_json(&Secret::new("t"), Timestamp::from_secs(0));
        let result: serde_json::Value = serde_json::from_str(&result).unwrap();
        assert_eq!(result["apiVersion"], V1BETA1);
        assert_eq!(result["status"]["token"], "t");
        assert_eq!(result["status"]["expirationTimestamp"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn an_exec_credential_without_spec_is_not_interactive() {
        let info = ExecInfo::parse(&format!(r#"{{"apiVersion":"{V1}"}}"#)).unwrap();
        assert!(!info.is_interactive);
    }

    #[test]
    fn an_unknown_version_is_named() {
        let error =
            ExecInfo::parse(r#"{"apiVersion":"client.authentication.k8s.io/v9"}"#).unwrap_err();
        assert!(error.to_string().contains("client.authentication.k8s.io/v9"), "{error}");
    }
}
