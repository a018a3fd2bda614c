//! The parameters of a login: issuer, client and scopes. Cached tokens are stored per profile.

use std::path::{Path, PathBuf};

use countersign_core::Secret;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::error::Error;

/// This program's client id at the issuer, unless configured otherwise.
pub const DEFAULT_CLIENT_ID: &str = "kubectl";
/// The scopes that `login` requests besides `openid`: name and groups for the API server, and a refresh token.
pub const LOGIN_SCOPES: [&str; 4] = ["email", "profile", "groups", "offline_access"];

/// The parameters of a login; stored with the tokens, so that `status` and `logout` need no flags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProfile {
    /// The issuer, as in its discovery document.
    pub issuer: String,
    pub client_id: String,
    /// `openid` first, then the others in the order given.
    pub scopes: Vec<String>,
    pub extra_parameters: Vec<(String, String)>,
    pub transport: Transport,
    /// Absent in the record of an earlier version.
    #[serde(default)]
    pub subject: Subject,
}

/// Whose tokens these are. Two entries of a kubeconfig that differ in it only must not share their tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// Of the user who signs in at the issuer.
    #[default]
    User,
    /// Of the user with this name, by the password grant; empty if the name is entered at the prompt.
    Username(String),
    /// Of the client itself, by client credentials.
    Client,
}

/// How requests are sent to the issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    pub certificate_authority: Vec<PathBuf>,
    pub certificate_authority_data: Vec<String>,
    pub insecure_skip_tls_verify: bool,
    pub request_headers: Vec<(String, String)>,
}

/// A secret that is serialized only into the cache.
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
    /// A profile that requests these scopes besides `openid`, without duplicates.
    pub fn new(issuer: &Url, client_id: &str, scopes: &[String], transport: Transport) -> Self {
        let mut all = vec!["openid".to_owned()];
        for scope in scopes {
            if !all.contains(scope) {
                all.push(scope.clone());
            }
        }
        // An issuer that is a bare host has no path, but `Url` prints `/`.
        let text = issuer.as_str();
        let text = if issuer.path() == "/" { text.trim_end_matches('/') } else { text };
        Self {
            issuer: text.to_owned(),
            client_id: client_id.to_owned(),
            scopes: all,
            extra_parameters: Vec::new(),
            transport,
            subject: Subject::default(),
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

    /// The command with which the user signs in again. `cache_directory`: if it is not the default one.
    pub fn login_command(&self, cache_directory: Option<&Path>) -> String {
        if !self.is_of_login() {
            // `login` would sign in with other parameters, and its tokens would not be found with these.
            return "kubectl auth whoami   # on a terminal, in the context of this cluster"
                .to_owned();
        }
        let mut command = format!("kubectl countersign login {}", self.issuer);
        if self.client_id != DEFAULT_CLIENT_ID {
            command.push_str(&format!(" --client-id {}", self.client_id));
        }
        for file in &self.transport.certificate_authority {
            command.push_str(&format!(" --certificate-authority {}", file.display()));
        }
        if let Some(directory) = cache_directory {
            command.push_str(&format!(" --token-cache-dir {}", directory.display()));
        }
        command
    }

    /// Whether `login` has flags for all of it. An entry of kubelogin may have more.
    fn is_of_login(&self) -> bool {
        let mut scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let mut expected = vec!["openid"];
        expected.extend(LOGIN_SCOPES);
        scopes.sort_unstable();
        expected.sort_unstable();
        let transport = Transport {
            certificate_authority: self.transport.certificate_authority.clone(),
            ..Transport::default()
        };
        scopes == expected
            && self.extra_parameters.is_empty()
            && self.transport == transport
            && self.subject == Subject::User
    }
}

/// Whether the URL is https, or http on loopback.
pub fn is_web_address(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{LOGIN_SCOPES, LoginProfile, Transport, is_web_address};

    #[test]
    fn the_command_signs_in_to_the_same_login() {
        let issuer = "https://id.example/dex".parse().unwrap();
        let scopes = LOGIN_SCOPES.map(str::to_owned);
        let of_login = LoginProfile::new(&issuer, "kubectl", &scopes, Transport::default());
        let login = "kubectl countersign login https://id.example/dex";
        assert_eq!(of_login.login_command(None), login);
        assert_eq!(
            of_login.login_command(Some("/srv/tokens".as_ref())),
            format!("{login} --token-cache-dir /srv/tokens")
        );
        // `login` has no flags for the scopes of this entry: its tokens would be others.
        let of_kubelogin =
            LoginProfile::new(&issuer, "kubectl", &scopes[..1], Transport::default());
        assert!(of_kubelogin.login_command(None).starts_with("kubectl auth whoami "));
    }

    #[test]
    fn only_web_addresses_are_accepted() {
        for (url, is_accepted) in [
            ("https://id.example/auth", true),
            ("http://localhost:5556/auth", true),
            ("http://[::1]:5556/auth", true),
            ("http://id.example/auth", false),
            ("file:///bin/sh", false),
            ("calculator:", false),
        ] {
            assert_eq!(is_web_address(&url.parse().unwrap()), is_accepted, "{url}");
        }
    }
}
