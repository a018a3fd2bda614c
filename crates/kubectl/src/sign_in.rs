//! The login methods, one per grant type, and the choice among them.

mod authorization_code;
mod callback_page;
mod device_code;
mod login_request;
mod loopback;

pub use login_request::{GrantType, LoginRequest, Options, SignedIn, default_listen_addresses};

use crate::error::Error;

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
