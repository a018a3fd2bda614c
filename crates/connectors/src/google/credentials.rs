//! The credentials for Google's APIs: a service account with a key, workload identity federation, or the service
//! account of this machine. Read when the connector is built; an invalid file is a start-up error.
//!
//! Not supported: `authorized_user` files, and federations whose token is not in a file (AWS, URL, executable).

use std::sync::Arc;

use countersign_config::FilesRead;
use countersign_core::Secret;
use countersign_jose::{Algorithm, Signer};
use serde::Deserialize;
use url::Url;

/// The variable in which Google's libraries look for a credentials file.
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

#[derive(Clone)]
pub(super) enum Credentials {
    /// A service account with its private key.
    Key(Arc<ServiceAccount>),
    /// Workload identity federation: a token of another provider is exchanged (RFC 8693).
    Federation(Arc<Federation>),
    /// The service account of this machine or pod, from its metadata server.
    Machine,
}

pub(super) struct ServiceAccount {
    pub email: String,
    pub signer: Signer,
    pub token_url: Url,
}

pub(super) struct Federation {
    pub audience: String,
    pub subject_token_type: String,
    pub token_url: Url,
    /// Read at each use, because the platform renews it.
    pub token_file: String,
    /// The member that contains the token, if the file is JSON.
    pub token_member: Option<String>,
    /// The service account to impersonate, and the URL for that.
    pub impersonation: Option<(String, Url)>,
}

impl Credentials {
    /// Reads the file at `path`, otherwise the one in the environment variable, otherwise uses this machine's service
    /// account. The error is a sentence for a configuration problem, without contents of the file.
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable is named by Google's documentation"
    )]
    pub fn read(path: Option<&str>, files: &FilesRead) -> Result<Self, String> {
        let named = || std::env::var(VARIABLE).ok().filter(|path| !path.is_empty());
        let Some(path) = path.map(str::to_owned).or_else(named) else { return Ok(Self::Machine) };
        let bytes = files.read(&path).map_err(|e| format!("cannot read {path}: {e}"))?;
        let no_json = || format!("{path} is no file of Google credentials in JSON");
        let text = Secret::new(String::from_utf8(bytes).map_err(|_| no_json())?);
        let file: File = serde_json::from_str(text.expose()).map_err(|_| no_json())?;
        match file.kind.as_str() {
            "service_account" => file.service_account(&path).map(|a| Self::Key(Arc::new(a))),
            "external_account" => file.federation(&path).map(|f| Self::Federation(Arc::new(f))),
            kind => Err(format!(
                "{path} has credentials of type {kind:?}, expected service_account or external_account"
            )),
        }
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type", default)]
    kind: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    audience: Option<String>,
    subject_token_type: Option<String>,
    token_url: Option<String>,
    service_account_impersonation_url: Option<String>,
    credential_source: Option<CredentialSource>,
}

#[derive(Deserialize)]
struct CredentialSource {
    file: Option<String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    subject_token_field_name: Option<String>,
}

impl File {
    fn service_account(self, path: &str) -> Result<ServiceAccount, String> {
        let lacks = |what: &str| format!("{path} lacks {what}");
        let email = self.client_email.ok_or_else(|| lacks("client_email"))?;
        let key = Secret::new(self.private_key.ok_or_else(|| lacks("private_key"))?);
        // Google selects the key by its id; without one it tries all keys.
        let kid = self.private_key_id.filter(|id| !id.is_empty());
        let kid = kid.ok_or_else(|| lacks("private_key_id"))?;
        let signer = Signer::new(&kid, Algorithm::RS256, &key)
            .map_err(|_| format!("{path}: private_key is not a private RSA key in PEM"))?;
        let token_uri = self.token_uri.as_deref().unwrap_or("https://oauth2.googleapis.com/token");
        let token_url = web(token_uri).ok_or_else(|| lacks("a URL as token_uri"))?;
        Ok(ServiceAccount { email, signer, token_url })
    }

    fn federation(self, path: &str) -> Result<Federation, String> {
        let lacks = |what: &str| format!("{path} lacks {what}");
        let source = self.credential_source.ok_or_else(|| lacks("credential_source"))?;
        let token_file = source.file.ok_or_else(|| {
            format!("{path}: credential_source is not a file, and others are not supported")
        })?;
        let impersonation = match self.service_account_impersonation_url {
            None => None,
            Some(url) => {
                let url = web(&url).ok_or_else(|| lacks("a URL to impersonate"))?;
                let account = url.path().rsplit('/').next().and_then(|last| last.split_once(':'));
                let account = account.map(|(account, _)| account.to_owned());
                Some((account.ok_or_else(|| lacks("a service account to impersonate"))?, url))
            }
        };
        Ok(Federation {
            audience: self.audience.ok_or_else(|| lacks("audience"))?,
            subject_token_type: self
                .subject_token_type
                .ok_or_else(|| lacks("subject_token_type"))?,
            token_url: self
                .token_url
                .as_deref()
                .and_then(web)
                .ok_or_else(|| lacks("a URL as token_url"))?,
            token_file,
            token_member: source.format.and_then(|format| format.subject_token_field_name),
            impersonation,
        })
    }
}

fn web(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))
}
