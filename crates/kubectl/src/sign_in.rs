//! The login methods, one per grant type, the choice among them, and their input and result.

mod authorization_code;
mod callback_page;
mod loopback;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use callback_page::CallbackPage;
use clap::ValueEnum;
use countersign_core::{Secret, Timestamp};
use serde::Deserialize;
use url::Url;

use crate::error::Error;
use crate::issuer::{Issuer, TokenResponse};
use crate::profile::{LoginProfile, is_web_address};
use crate::terminal::{Progress, Style, printable};

/// Signs in with the configured grant type.
pub async fn sign_in(request: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    match chosen(request) {
        GrantType::Auto | GrantType::Authcode => authorization_code::by_redirect(request).await,
        GrantType::AuthcodeKeyboard => authorization_code::by_typed_code(request).await,
        GrantType::DeviceCode => device_code(request).await,
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

/// RFC 6749 section 4.3.
async fn password(request: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    let (Some(username), Some(password)) = (&request.options.username, &request.options.password)
    else {
        return Err(Error::Local(
            "--grant-type password needs --username and --password".to_owned(),
        ));
    };
    let scope = request.profile.scope();
    let fields = [
        ("grant_type", "password"),
        ("username", username),
        ("password", password.expose()),
        ("scope", scope.as_str()),
    ];
    Ok(SignedIn { tokens: request.issuer.token(&fields).await?, nonce: None, page: None })
}

/// RFC 6749 section 4.4.
async fn client_credentials(request: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    let scope = request.profile.scope();
    let fields = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
    Ok(SignedIn { tokens: request.issuer.token(&fields).await?, nonce: None, page: None })
}

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 8628 section 3.2: the default polling interval, and the increment for `slow_down`.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum polling interval that is accepted from an issuer.
const MAX_POLL_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    /// Servers older than the RFC use `verification_url`.
    #[serde(alias = "verification_url")]
    verification_uri: Url,
    verification_uri_complete: Option<Url>,
    expires_in: u64,
    interval: Option<u64>,
}

/// Device authorization grant (RFC 8628): the user signs in on another device.
async fn device_code(login: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    let issuer = login.issuer;
    let Some(url) = issuer.metadata.device_authorization_endpoint.clone() else {
        let text = format!("{} does not support device codes", issuer.metadata.issuer);
        return Err(Error::LoginFailed(text));
    };
    let scope = login.profile.scope();
    let device: DeviceAuthorization = issuer.post(&url, &[("scope", scope.as_str())]).await?;
    if !is_web_address(&device.verification_uri) {
        let cause = format!("its verification_uri {} is not https", device.verification_uri);
        return Err(Error::InvalidResponse { url: url.to_string(), cause });
    }
    show_user_code(&device);
    let valid_for = Duration::from_secs(device.expires_in).min(login.options.timeout.max(
        // A login on a second device takes longer than one in a browser that opens by itself.
        Duration::from_mins(10),
    ));
    let expires_at = (login.now)() + valid_for;
    let _progress = Progress::start(format!(
        "Waiting up to {} min for the login on another device",
        valid_for.as_secs().div_ceil(60)
    ));
    let mut interval =
        device.interval.map_or(POLL_INTERVAL, Duration::from_secs).max(Duration::from_secs(1));
    let fields = [("grant_type", DEVICE_CODE), ("device_code", device.device_code.as_str())];
    while (login.now)() < expires_at {
        tokio::time::sleep(interval.min(MAX_POLL_INTERVAL)).await;
        match issuer.token(&fields).await {
            Ok(tokens) => return Ok(SignedIn { tokens, nonce: None, page: None }),
            Err(Error::Refused { code, .. }) if code == "authorization_pending" => {}
            Err(Error::Refused { code, .. }) if code == "slow_down" => interval += POLL_INTERVAL,
            // Section 3.5: after a connection timeout the client polls less often.
            Err(error) if error.is_temporary() => interval *= 2,
            Err(error) => return Err(error),
        }
    }
    Err(Error::LoginFailed("the code expired before anybody entered it".to_owned()))
}

fn show_user_code(device: &DeviceAuthorization) {
    let style = Style::for_stderr();
    eprintln!(
        "On any device with a browser, open\n\n  {}\n\nand enter the code  {}\n",
        style.bold(device.verification_uri.as_str()),
        style.bold(&printable(&device.user_code))
    );
    if let Some(url) = device.verification_uri_complete.as_ref().filter(|url| is_web_address(url)) {
        eprintln!("or open the address that has the code in it:\n\n  {url}\n");
    }
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

/// The login options.
#[derive(Clone, Debug)]
pub struct Options {
    pub grant_type: GrantType,
    /// Loopback addresses; the first free one is used.
    pub listen_addresses: Vec<SocketAddr>,
    pub redirect_host: String,
    /// Replaces the redirect URI built from host and port.
    pub redirect_uri: Option<Url>,
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

pub fn default_listen_addresses() -> Vec<SocketAddr> {
    DEFAULT_PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).to_vec()
}

/// The parameters of one login.
pub struct LoginRequest<'a> {
    pub issuer: &'a Issuer,
    pub profile: &'a LoginProfile,
    pub options: &'a Options,
    /// Whether a code can be read from standard input.
    pub is_person_present: bool,
    pub now: fn() -> Timestamp,
}

/// The tokens of a login, the nonce that their ID token must contain, and the browser waiting for a page.
pub struct SignedIn {
    pub tokens: TokenResponse,
    pub nonce: Option<String>,
    pub page: Option<CallbackPage>,
}
