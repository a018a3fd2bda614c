//! The flags of `get-token`: kubelogin's names and defaults, so that an existing kubeconfig only needs another
//! executable. Flags without effect are accepted, and their help says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use countersign_core::Secret;
use url::Url;

use super::{CacheArguments, IGNORED};
use crate::profile::{LoginProfile, Subject, Transport};
use crate::sign_in::{self, GrantType};

#[derive(Args, Clone)]
pub struct GetTokenArguments {
    /// Issuer URL, exactly as in the issuer's discovery document
    #[arg(long, value_name = "URL")]
    pub oidc_issuer_url: Url,
    /// Client id registered at the issuer
    #[arg(long, value_name = "ID")]
    pub oidc_client_id: String,
    /// Client secret; leave it out for a public client
    #[arg(long, value_name = "SECRET", env = "OIDC_CLIENT_SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<String>,
    /// Scope to request besides openid; may be repeated
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub oidc_extra_scope: Vec<String>,
    /// Client id of the cluster, if it accepts only tokens issued for a client of its own
    #[arg(long, value_name = "ID")]
    pub audience: Option<String>,
    /// Parameter to add to the authorization request; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, value_delimiter = ',')]
    pub oidc_auth_request_extra_params: Vec<(String, String)>,
    /// Header to add to every request to the issuer; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value, value_delimiter = ',')]
    pub oidc_request_header: Vec<(String, String)>,
    /// PEM file with a certificate authority to trust; may be repeated
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub certificate_authority: Vec<PathBuf>,
    /// Base64 of a PEM certificate authority to trust; may be repeated
    #[arg(long, value_name = "BASE64")]
    pub certificate_authority_data: Vec<String>,
    /// Do not verify the issuer's certificate: for tests only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub insecure_skip_tls_verify: bool,
    /// How to sign in
    #[arg(long, value_enum, default_value_t = GrantType::Auto, value_name = "TYPE")]
    pub grant_type: GrantType,
    /// Loopback address for the redirect; may be repeated, the first free one is used
    /// [default: port 8000, 18000 or any free one]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = loopback_address)]
    pub listen_address: Vec<SocketAddr>,
    /// Host name in the redirect URI
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    pub oidc_redirect_url_hostname: String,
    /// Redirect URI, where the issuer demands one that is not made of the listen address
    #[arg(long, value_name = "URL", value_parser = url_as_written)]
    pub oidc_redirect_url: Option<String>,
    /// PEM file with a certificate for the redirect: then it is https
    #[arg(long, value_name = "FILE", value_parser = path, requires = "local_server_key")]
    pub local_server_cert: Option<PathBuf>,
    /// PEM file with the private key of --local-server-cert
    #[arg(long, value_name = "FILE", value_parser = path, requires = "local_server_cert")]
    pub local_server_key: Option<PathBuf>,
    /// Print the URL to open instead of opening a browser
    #[arg(long, visible_alias = "no-browser", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub skip_open_browser: bool,
    /// Program that opens the URL, instead of the system's default browser
    #[arg(long, value_name = "PROGRAM", value_parser = path)]
    pub browser_command: Option<PathBuf>,
    /// Page to show after the login, instead of this program's own
    #[arg(long, value_name = "URL")]
    pub open_url_after_authentication: Option<Url>,
    /// Seconds to wait for the login
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub authentication_timeout_sec: u64,
    /// Refresh or sign in even if a cached token is still valid
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub force_refresh: bool,
    /// Print the access token instead of the ID token
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set)]
    pub oidc_use_access_token: bool,
    /// User name for the grant type password, which it selects; without it a terminal is prompted
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password for the grant type password; without it a terminal is prompted
    #[arg(long, value_name = "PASSWORD", env = "OIDC_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    #[command(flatten)]
    pub cache: CacheArguments,
    #[command(flatten)]
    pub ignored: IgnoredArguments,
}

/// What kubelogin has and this program does not need.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = IGNORED)]
pub struct IgnoredArguments {
    /// PKCE with S256 is always used
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    oidc_use_pkce: Option<bool>,
    /// PKCE with S256 is always used
    #[arg(long, value_name = "METHOD")]
    oidc_pkce_method: Option<String>,
    /// TLS renegotiation is never done
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    tls_renegotiation_once: Option<bool>,
    /// TLS renegotiation is never done
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    tls_renegotiation_freely: Option<bool>,
}

impl GetTokenArguments {
    /// The profile under which the tokens are cached.
    pub fn profile(&self) -> LoginProfile {
        let transport = Transport {
            certificate_authority: self.certificate_authority.clone(),
            certificate_authority_data: self.certificate_authority_data.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            request_headers: self.oidc_request_header.clone(),
        };
        let scopes = &self.oidc_extra_scope;
        LoginProfile {
            extra_parameters: self.oidc_auth_request_extra_params.clone(),
            subject: match self.grant_type() {
                GrantType::Password => Subject::Username(self.username.clone().unwrap_or_default()),
                GrantType::ClientCredentials => Subject::Client,
                _ => Subject::User,
            },
            ..LoginProfile::new(&self.oidc_issuer_url, &self.oidc_client_id, scopes, transport)
        }
    }

    /// `auto` with a user name is the password grant, as in kubelogin.
    fn grant_type(&self) -> GrantType {
        match (self.grant_type, &self.username) {
            (GrantType::Auto, Some(name)) if !name.is_empty() => GrantType::Password,
            (grant_type, _) => grant_type,
        }
    }

    pub fn sign_in_options(&self) -> sign_in::Options {
        let is_set = |text: &&String| !text.is_empty();
        sign_in::Options {
            grant_type: self.grant_type(),
            listen_addresses: match self.listen_address.is_empty() {
                true => sign_in::default_listen_addresses(),
                false => self.listen_address.clone(),
            },
            redirect_host: self.oidc_redirect_url_hostname.clone(),
            redirect_uri: self.oidc_redirect_url.clone(),
            local_certificate: self.local_server_cert.clone().zip(self.local_server_key.clone()),
            opens_browser: !self.skip_open_browser,
            browser_command: self.browser_command.clone(),
            page_after_login: self.open_url_after_authentication.clone(),
            timeout: Duration::from_secs(self.authentication_timeout_sec),
            username: self.username.as_ref().filter(is_set).cloned(),
            password: self.password.as_ref().filter(is_set).map(Secret::new),
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A URL that an issuer compares byte by byte with the registered one. `Url` would add a slash to a bare host.
fn url_as_written(text: &str) -> Result<String, String> {
    Url::parse(text).map(|_| text.to_owned()).map_err(|cause| cause.to_string())
}

/// Parses `127.0.0.1:8000`, `[::1]:8000` or `localhost:8000`.
fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let address: SocketAddr =
        numeric.parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:8000".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("not a loopback address: other machines could reach it".to_owned()),
    }
}

/// Parses a path in which `~/` is the home directory, as in kubelogin.
#[expect(clippy::unnecessary_wraps, reason = "clap expects a parser that can fail")]
pub fn path(text: &str) -> Result<PathBuf, String> {
    let home = crate::environment_variable("HOME").map(PathBuf::from);
    Ok(match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    })
}
