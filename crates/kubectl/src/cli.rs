//! The command line. `get-token` takes kubelogin's flags, so that an existing kubeconfig needs only another
//! binary; flags of kubelogin that have no effect here are not accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

#[derive(Parser)]
#[command(
    name = "kubectl-countersign",
    version,
    about = "Sign in to Kubernetes clusters with OpenID Connect"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Print an exec credential for kubectl, signing in if necessary
    GetToken(GetTokenArguments),
    /// Print the claims of the cached ID token
    Token(ClientArguments),
    /// Revoke the refresh token at the issuer and forget the cached tokens
    Logout(ClientArguments),
}

/// Which issuer, as which client, with which trust: also what the cached tokens are filed under.
#[derive(Args, Clone)]
pub struct ClientArguments {
    /// Issuer URL, exactly as in the issuer's discovery document
    #[arg(long, value_name = "URL")]
    pub oidc_issuer_url: Url,
    /// Client ID registered at the issuer
    #[arg(long, value_name = "ID")]
    pub oidc_client_id: String,
    /// Client secret; leave it out for a public client
    #[arg(long, value_name = "SECRET", env = "OIDC_CLIENT_SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<String>,
    /// Scope to request besides openid; may be repeated
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub oidc_extra_scope: Vec<String>,
    /// Extra parameter for the authorization request; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub oidc_auth_request_extra_params: Vec<(String, String)>,
    /// PEM file with a certificate authority to trust; may be repeated
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Vec<PathBuf>,
    /// Base64 of a PEM certificate authority to trust; may be repeated
    #[arg(long, value_name = "BASE64")]
    pub certificate_authority_data: Vec<String>,
    /// Do not verify the issuer's certificate: for tests only
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,
    /// Directory of cached tokens [default: ~/.kube/cache/countersign]
    #[arg(long, value_name = "DIR", env = "KUBECTL_COUNTERSIGN_CACHE_DIR")]
    pub token_cache_dir: Option<PathBuf>,
}

#[derive(Args, Clone)]
pub struct GetTokenArguments {
    #[command(flatten)]
    pub client: ClientArguments,
    /// How to sign in
    #[arg(long, value_enum, default_value_t = GrantType::Auto, value_name = "TYPE")]
    pub grant_type: GrantType,
    /// Loopback address for the redirect; may be repeated, the first free one is used
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_values = ["127.0.0.1:8000", "127.0.0.1:18000"])]
    pub listen_address: Vec<SocketAddr>,
    /// Host name in the redirect URI [default: localhost]
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    pub oidc_redirect_url_hostname: String,
    /// Print the URL to open instead of opening a browser
    #[arg(long, visible_alias = "no-browser")]
    pub skip_open_browser: bool,
    /// Program that opens the URL, instead of the system's default browser
    #[arg(long, value_name = "PROGRAM")]
    pub browser_command: Option<PathBuf>,
    /// Seconds to wait for the login in the browser
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = seconds)]
    pub authentication_timeout_sec: Duration,
    /// Sign in anew or refresh although a cached token is still valid
    #[arg(long)]
    pub force_refresh: bool,
    /// Give kubectl the access token instead of the ID token
    #[arg(long)]
    pub oidc_use_access_token: bool,
    /// User name for the grant type `password`
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password for the grant type `password`
    #[arg(long, value_name = "PASSWORD", env = "OIDC_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GrantType {
    /// Browser where there is a display, device code over SSH
    Auto,
    /// Authorization code with PKCE on a loopback port
    Authcode,
    /// Authorization code typed by hand (out-of-band)
    AuthcodeKeyboard,
    /// Resource owner password credentials (RFC 6749 section 4.3)
    Password,
    /// Device authorization grant (RFC 8628)
    DeviceCode,
    /// Client credentials (RFC 6749 section 4.4)
    ClientCredentials,
}

impl ClientArguments {
    /// `openid` and the extra scopes, each once, in the order given.
    pub fn scopes(&self) -> String {
        let mut scopes = vec!["openid"];
        for scope in &self.oidc_extra_scope {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        scopes.join(" ")
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "expected a number of seconds".to_owned())
}
