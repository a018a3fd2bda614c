//! Device authorization grant (RFC 8628): the user signs in on any device that has a browser.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::browser::Opened;
use super::{LoginRequest, SignedIn, browser};
use crate::error::Error;
use crate::profile::is_web_address;
use crate::terminal::{Progress, Style, printable};

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

/// Shows the code, opens a browser if there is one on this machine, and polls until the user has signed in.
pub async fn sign_in(login: &LoginRequest<'_>) -> Result<SignedIn, Error> {
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
    (login.before_shown)()?;
    show_user_code(&device);
    let complete = device.verification_uri_complete.as_ref().filter(|url| is_web_address(url));
    let opened = browser::open(login.options, complete.unwrap_or(&device.verification_uri)).await;
    let valid_for = Duration::from_secs(device.expires_in).min(login.options.timeout.max(
        // A login on a second device takes longer than one in a browser that opens by itself.
        Duration::from_mins(10),
    ));
    let expires_at = (login.now)() + valid_for;
    let minutes = valid_for.as_secs().div_ceil(60);
    let text = format!("Waiting up to {minutes} min for the login on another device");
    let _progress = (opened != Opened::InTerminal).then(|| Progress::start(text));
    let interval = device.interval.map_or(POLL_INTERVAL, Duration::from_secs);
    let mut interval = interval.clamp(Duration::from_secs(1), MAX_POLL_INTERVAL);
    let fields = [("grant_type", DEVICE_CODE), ("device_code", device.device_code.as_str())];
    while (login.now)() < expires_at {
        tokio::time::sleep(interval).await;
        match issuer.token(&fields).await {
            Ok(tokens) => return Ok(SignedIn { tokens, nonce: None, page: None }),
            Err(Error::Refused { code, .. }) if code == "authorization_pending" => {}
            Err(Error::Refused { code, .. }) if code == "slow_down" => {
                interval = MAX_POLL_INTERVAL.min(interval + POLL_INTERVAL);
            }
            // Section 3.5: after a connection timeout the client polls less often.
            Err(error) if error.is_temporary() => interval = MAX_POLL_INTERVAL.min(interval * 2),
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
