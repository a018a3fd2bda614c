//! The login methods, one per grant type, the choice among them, and their input and result.

mod authorization_code;
mod browser;
mod callback_page;
mod device_code;
mod loopback;
mod prompt;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use callback_page::CallbackPage;
use clap::ValueEnum;
use countersign_core::{Secret, Timestamp};
use url::Url;

use crate::error::Error;
use crate::issuer::{Issuer, TokenResponse};
use crate::profile::LoginProfile;

/// Signs in with the configured grant type.
pub async fn sign_in(request: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    match chosen(request) {
        GrantType::Auto | GrantType::Authcode => authorization_code::by_redirect(request).await,
        GrantType::AuthcodeKeyboard => authorization_code::by_typed_code(request).await,
        GrantType::DeviceCode => device_code::sign_in(request).await,
        GrantType::Password => password(request).await,
        GrantType::ClientCredentials => client_credentials(request).await,
    }
}

/// `auto`: a browser if one can be opened, otherwise the device code if the issuer supports it.
fn chosen(request: &LoginRequest<'_>) -> GrantType {
    let has_device_code = request.issuer.metadata.device_authorization_endpoint.is_some();
    match request.options.grant_type {
        GrantType::Auto if !request.options.can_open_browser() && has_device_code => {
            GrantType::DeviceCode
        }
        GrantType::Auto => GrantType::Authcode,
        other => other,
    }
}

/// RFC 6749 section 4.3. What the options do not have is entered at a prompt, as in kubelogin.
async fn password(request: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    let options = request.options;
    if (options.username.is_none() || options.password.is_none()) && !request.is_person_present {
        return Err(Error::Local(
            "--grant-type password needs --username and --password, or a terminal on which they can be typed"
                .to_owned(),
        ));
    }
    let username = match &options.username {
        Some(username) => username.clone(),
        None => prompt::line("Username: ", options.timeout).await?,
    };
    let password = match &options.password {
        Some(password) => password.clone(),
        None => Secret::new(prompt::hidden("Password: ", options.timeout).await?),
    };
    if username.is_empty() || password.expose().is_empty() {
        return Err(Error::LoginFailed("no user name or no password was typed".to_owned()));
    }
    let scope = request.profile.scope();
    let fields = [
        ("grant_type", "password"),
        ("username", username.as_str()),
        ("password", password.expose()),
        ("scope", scope.as_str()),
    ];
    Ok(SignedIn { tokens: request.issuer.token(&fields).await?, nonce: None, page: None })
}

/// RFC 6749 section 4.4, with the extra parameters of the profile, such as an audience.
async fn client_credentials(request: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    let scope = request.profile.scope();
    let mut fields = vec![("grant_type", "client_credentials"), ("scope", scope.as_str())];
    let extra = request.profile.extra_parameters.iter();
    fields.extend(extra.map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(SignedIn { tokens: request.issuer.token(&fields).await?, nonce: None, page: None })
}

/// kubelogin's two ports, so that redirect URIs registered for it still work, then any free port.
const DEFAULT_PORTS: [u16; 3] = [8000, 18000, 0];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GrantType {
    /// A browser where there is a display, else a device code
    Auto,
    /// Authorization code with PKCE, redirected to a loopback port
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

impl GrantType {
    /// Whether a login page is opened, or a URL or code shown.
    pub fn needs_person(self) -> bool {
        !matches!(self, Self::Password | Self::ClientCredentials)
    }
}

/// The login options.
#[derive(Clone, Debug)]
pub struct Options {
    pub grant_type: GrantType,
    /// Loopback addresses; the first free one is used.
    pub listen_addresses: Vec<SocketAddr>,
    pub redirect_host: String,
    /// Replaces the redirect URI built from host and port.
    pub redirect_uri: Option<String>,
    /// Certificate and private key of an https redirect, as PEM files.
    pub local_certificate: Option<(PathBuf, PathBuf)>,
    pub opens_browser: bool,
    pub browser_command: Option<PathBuf>,
    pub page_after_login: Option<Url>,
    pub timeout: Duration,
    pub username: Option<String>,
    pub password: Option<Secret>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            grant_type: GrantType::Auto,
            listen_addresses: default_listen_addresses(),
            redirect_host: "localhost".to_owned(),
            redirect_uri: None,
            local_certificate: None,
            opens_browser: true,
            browser_command: None,
            page_after_login: None,
            timeout: Duration::from_mins(3),
            username: None,
            password: None,
        }
    }
}

impl Options {
    /// Whether a browser can be opened: over SSH it would open on the wrong machine, and without a display not at all.
    pub fn can_open_browser(&self) -> bool {
        let is_set =
            |name: &&str| crate::environment_variable(name).is_some_and(|value| !value.is_empty());
        if self.browser_command.is_some() {
            return true;
        }
        let is_remote = ["SSH_CONNECTION", "SSH_TTY"].iter().any(is_set);
        let has_display = cfg!(any(target_os = "macos", target_os = "windows"))
            || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"].iter().any(is_set);
        !is_remote && has_display
    }
}

/// IPv6 comes last: it is tried if this machine has no IPv4.
pub fn default_listen_addresses() -> Vec<SocketAddr> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let of = |address| DEFAULT_PORTS.map(|port| SocketAddr::new(address, port));
    loopback.into_iter().flat_map(of).collect()
}

/// The parameters of one login.
pub struct LoginRequest<'a> {
    pub issuer: &'a Issuer,
    pub profile: &'a LoginProfile,
    pub options: &'a Options,
    /// Whether a code can be read from standard input.
    pub is_person_present: bool,
    /// Called before a login page is opened, or a URL or code is shown.
    pub before_shown: &'a dyn Fn() -> Result<(), Error>,
    pub now: fn() -> Timestamp,
}

/// The tokens of a login, the nonce that their ID token must contain, and the browser waiting for a page.
pub struct SignedIn {
    pub tokens: TokenResponse,
    pub nonce: Option<String>,
    pub page: Option<CallbackPage>,
}
