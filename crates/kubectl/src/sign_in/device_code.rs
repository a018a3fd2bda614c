//! Device authorization grant (RFC 8628): the person signs in on another device.

use std::time::Duration;

use countersign_core::Timestamp;
use serde::Deserialize;

use super::SignedIn;
use crate::browser::is_web_address;
use crate::cli::GetTokenArguments;
use crate::error::Error;
use crate::issuer::Issuer;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Section 3.2: the interval where the issuer names none, and what `slow_down` adds to it.
const INTERVAL: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    /// Older servers of the field spell it `verification_url`.
    #[serde(alias = "verification_url")]
    verification_uri: url::Url,
    expires_in: u64,
    interval: Option<u64>,
}

pub async fn sign_in(
    issuer: &Issuer,
    arguments: &GetTokenArguments,
    now: fn() -> Timestamp,
) -> Result<SignedIn, Error> {
    let Some(url) = issuer.metadata.device_authorization_endpoint.clone() else {
        return Err(Error::Local(format!(
            "{} does not support device codes",
            issuer.metadata.issuer
        )));
    };
    let scope = arguments.client.scopes();
    let device: DeviceAuthorization = issuer.post(&url, &[("scope", scope.as_str())]).await?;
    if !is_web_address(&device.verification_uri) {
        let cause = format!("its verification_uri {} is not https", device.verification_uri);
        return Err(Error::InvalidResponse { url: url.to_string(), cause });
    }
    eprintln!(
        "On any device, open\n\n  {}\n\nand enter the code {}",
        device.verification_uri, device.user_code
    );
    let expires_at = now() + Duration::from_secs(device.expires_in);
    let mut interval =
        device.interval.map_or(INTERVAL, Duration::from_secs).max(Duration::from_secs(1));
    let fields = [("grant_type", GRANT_TYPE), ("device_code", device.device_code.as_str())];
    while now() < expires_at {
        tokio::time::sleep(interval).await;
        match issuer.token(&fields).await {
            Ok(tokens) => return Ok(SignedIn { tokens, nonce: None }),
            Err(Error::Refused { code, .. }) if code == "authorization_pending" => {}
            Err(Error::Refused { code, .. }) if code == "slow_down" => interval += INTERVAL,
            // Section 3.5: on a connection timeout the client asks again, less often.
            Err(error) if error.is_temporary() => interval *= 2,
            Err(error) => return Err(error),
        }
    }
    Err(Error::LoginFailed("the code expired before anybody entered it".to_owned()))
}
