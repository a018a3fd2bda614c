//! The command line. `get-token` takes kubelogin's flags, so that an existing kubeconfig needs only another
//! binary; flags of kubelogin that have no effect here are not accepted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

/// kubelogin's, so that the redirect URIs registered for it go on working.
const DEFAULT_LISTEN_ADDRESSES: [SocketAddr; 2] = [loopback(8000), loopback(18000)];

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

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
    /// Sign in and add the clusters that you may use to the kubeconfig
    Login(LoginArguments),
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
pub struct LoginArguments {
    /// Issuer URL, exactly as in the issuer's discovery document
    pub issuer: Url,
    /// Only this cluster, and make it the current one [default: all]
    pub cluster: Option<String>,
    /// Client ID of this program at the issuer
    #[arg(long, value_name = "ID", default_value = "kubectl")]
    pub client_id: String,
    /// File to write [default: the first of KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How to sign in
    #[arg(long, value_enum, default_value_t = GrantType::Auto, value_name = "TYPE")]
    pub grant_type: GrantType,
    /// Print the URL to open instead of opening a browser
    #[arg(long)]
    pub no_browser: bool,
    /// PEM file with a certificate authority to trust; may be repeated
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Vec<PathBuf>,
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
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_values_t = DEFAULT_LISTEN_ADDRESSES)]
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

/// What `login` asks for besides `openid`: a name to greet, groups for the API server, a refresh token.
const LOGIN_SCOPES: [&str; 4] = ["email", "profile", "groups", "offline_access"];

impl LoginArguments {
    /// The same login as `get-token` would do with these flags.
    pub fn get_token(&self) -> GetTokenArguments {
        GetTokenArguments {
            client: ClientArguments {
                oidc_issuer_url: self.issuer.clone(),
                oidc_client_id: self.client_id.clone(),
                oidc_client_secret: None,
                oidc_extra_scope: LOGIN_SCOPES.map(str::to_owned).to_vec(),
                oidc_auth_request_extra_params: Vec::new(),
                certificate_authority: self.certificate_authority.clone(),
                certificate_authority_data: Vec::new(),
                insecure_skip_tls_verify: false,
                token_cache_dir: self.token_cache_dir.clone(),
            },
            grant_type: self.grant_type,
            listen_address: DEFAULT_LISTEN_ADDRESSES.to_vec(),
            oidc_redirect_url_hostname: "localhost".to_owned(),
            skip_open_browser: self.no_browser,
            browser_command: None,
            authentication_timeout_sec: Duration::from_secs(180),
            force_refresh: false,
            oidc_use_access_token: false,
            username: None,
            password: None,
        }
    }
}

impl ClientArguments {
    /// The issuer as text. A bare host has no path in OpenID Connect, but [`Url`] shows one.
    pub fn issuer(&self) -> &str {
        let text = self.oidc_issuer_url.as_str();
        if self.oidc_issuer_url.path() == "/" { text.trim_end_matches('/') } else { text }
    }

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
