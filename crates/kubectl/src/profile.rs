//! One login: which issuer, as which client, with which scopes. The cached tokens are filed under it.

use std::path::PathBuf;

use countersign_core::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::browser::is_web_address;
use crate::error::Error;

/// The client id of this program at the issuer, unless another one is given.
pub const DEFAULT_CLIENT_ID: &str = "kubectl";

/// What a login is made with; written beside the tokens, so that `status` and `logout` need no flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProfile {
    /// As in the issuer's discovery document.
    pub issuer: String,
    pub client_id: String,
    /// `openid` first, then the others in the order given.
    pub scopes: Vec<String>,
    pub extra_parameters: Vec<(String, String)>,
    pub transport: Transport,
}

/// How the issuer is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    pub certificate_authority: Vec<PathBuf>,
    pub certificate_authority_data: Vec<String>,
    pub insecure_skip_tls_verify: bool,
    pub request_headers: Vec<(String, String)>,
}

/// A secret that is written to the cache, and nowhere else.
#[derive(Clone, Debug)]
pub struct StoredSecret(pub Secret);

impl Serialize for StoredSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for StoredSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl LoginProfile {
    /// A login that requests these scopes beside `openid`, each once.
    pub fn new(issuer: &Url, client_id: &str, scopes: &[String], transport: Transport) -> Self {
        let mut all = vec!["openid".to_owned()];
        for scope in scopes {
            if !all.contains(scope) {
                all.push(scope.clone());
            }
        }
        // A bare host has no path in OpenID Connect, but `Url` shows one.
        let text = issuer.as_str();
        let text = if issuer.path() == "/" { text.trim_end_matches('/') } else { text };
        Self {
            issuer: text.to_owned(),
            client_id: client_id.to_owned(),
            scopes: all,
            extra_parameters: Vec::new(),
            transport,
        }
    }

    pub fn scope(&self) -> String {
        self.scopes.join(" ")
    }

    /// # Errors
    /// The issuer is neither https nor on loopback.
    pub fn check(&self) -> Result<(), Error> {
        match Url::parse(&self.issuer) {
            Ok(url) if is_web_address(&url) => Ok(()),
            Ok(_) => Err(Error::Local(format!("the issuer {} is not https", self.issuer))),
            Err(cause) => Err(Error::Local(format!("the issuer {}: {cause}", self.issuer))),
        }
    }

    /// The command by which a person signs in again.
    pub fn login_command(&self) -> String {
        let mut command = format!("kubectl countersign login {}", self.issuer);
        if self.client_id != DEFAULT_CLIENT_ID {
            command.push_str(&format!(" --client-id {}", self.client_id));
        }
        for file in &self.transport.certificate_authority {
            command.push_str(&format!(" --certificate-authority {}", file.display()));
        }
        command
    }
}
