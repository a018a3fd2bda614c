//! The ways to sign in, one for each grant type, and the choice among them.

mod device_code;
mod loopback;

use countersign_core::{Secret, Timestamp};
use url::Url;

use crate::cli::{GetTokenArguments, GrantType};
use crate::error::Error;
use crate::issuer::{Issuer, TokenResponse};
use crate::pkce::{self, Pkce};

/// The redirect URI by which an issuer shows the code to the person (out-of-band).
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// Tokens, and the nonce that their ID token must carry.
pub struct SignedIn {
    pub tokens: TokenResponse,
    pub nonce: Option<String>,
}

/// Signs in with the configured grant type.
///
/// `is_interactive`: whether a person can be asked on standard input.
pub async fn sign_in(
    issuer: &Issuer,
    arguments: &GetTokenArguments,
    is_interactive: bool,
    now: fn() -> Timestamp,
) -> Result<SignedIn, Error> {
    match chosen(arguments.grant_type, issuer) {
        GrantType::Auto | GrantType::Authcode => authorization_code(issuer, arguments).await,
        GrantType::AuthcodeKeyboard => typed_code(issuer, arguments, is_interactive).await,
        GrantType::DeviceCode => device_code::sign_in(issuer, arguments, now).await,
        GrantType::Password => password(issuer, arguments).await,
        GrantType::ClientCredentials => client_credentials(issuer, arguments).await,
    }
}

/// `auto`: a browser where one can open, else the device code if the issuer has it.
fn chosen(grant_type: GrantType, issuer: &Issuer) -> GrantType {
    let has_device_flow = issuer.metadata.device_authorization_endpoint.is_some();
    match grant_type {
        GrantType::Auto if is_remote_shell() && has_device_flow => GrantType::DeviceCode,
        GrantType::Auto => GrantType::Authcode,
        other => other,
    }
}

/// Over SSH a browser would open on the wrong machine.
#[expect(
    clippy::disallowed_methods,
    reason = "only the environment tells how this shell came to be"
)]
fn is_remote_shell() -> bool {
    ["SSH_CONNECTION", "SSH_TTY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Authorization code with PKCE on a loopback port (RFC 8252 section 7.3).
async fn authorization_code(
    issuer: &Issuer,
    arguments: &GetTokenArguments,
) -> Result<SignedIn, Error> {
    let listener = loopback::Listener::bind(&arguments.listen_address).await?;
    let redirect_uri = listener.redirect_uri(&arguments.oidc_redirect_url_hostname);
    let request = AuthorizationRequest::new(issuer, arguments, &redirect_uri)?;
    let opened = match arguments.skip_open_browser {
        true => Err(None),
        false => {
            crate::browser::open(&request.url, arguments.browser_command.as_deref()).map_err(Some)
        }
    };
    if let Err(cause) = opened {
        if let Some(cause) = cause {
            eprintln!("{cause}");
        }
        eprintln!("Open this URL in your browser:\n\n  {}\n", request.url);
    } else {
        eprintln!(
            "Waiting for the login in your browser (up to {} s) ...",
            arguments.authentication_timeout_sec.as_secs()
        );
    }
    let expected = loopback::Expected { state: &request.state, issuer: &issuer.metadata.issuer };
    let wait = listener.wait_for_code(expected);
    let code = tokio::time::timeout(arguments.authentication_timeout_sec, wait).await.map_err(
        |_| {
            let seconds = arguments.authentication_timeout_sec.as_secs();
            Error::LoginFailed(format!("nobody signed in within {seconds} s"))
        },
    )??;
    request.redeem(issuer, &redirect_uri, &code).await
}

/// The person copies the code from a page of the issuer.
async fn typed_code(
    issuer: &Issuer,
    arguments: &GetTokenArguments,
    is_interactive: bool,
) -> Result<SignedIn, Error> {
    if !is_interactive {
        return Err(Error::NotInteractive);
    }
    let request = AuthorizationRequest::new(issuer, arguments, OUT_OF_BAND)?;
    eprintln!("Open this URL in any browser:\n\n  {}\n", request.url);
    eprint!("Enter the code: ");
    let code = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await
    .map_err(|cause| Error::Local(cause.to_string()))?
    .map_err(|cause| Error::Local(format!("cannot read the code: {cause}")))?;
    request.redeem(issuer, OUT_OF_BAND, &Secret::new(line_of(&code))).await
}

fn line_of(text: &str) -> &str {
    text.trim()
}

async fn password(issuer: &Issuer, arguments: &GetTokenArguments) -> Result<SignedIn, Error> {
    let (Some(username), Some(password)) = (&arguments.username, &arguments.password) else {
        return Err(Error::Local(
            "--grant-type password needs --username and --password".to_owned(),
        ));
    };
    let scope = arguments.client.scopes();
    let fields = [
        ("grant_type", "password"),
        ("username", username),
        ("password", password),
        ("scope", scope.as_str()),
    ];
    Ok(SignedIn { tokens: issuer.token(&fields).await?, nonce: None })
}

async fn client_credentials(
    issuer: &Issuer,
    arguments: &GetTokenArguments,
) -> Result<SignedIn, Error> {
    let scope = arguments.client.scopes();
    let fields = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
    Ok(SignedIn { tokens: issuer.token(&fields).await?, nonce: None })
}

/// One authorization request and what is needed to redeem its code.
struct AuthorizationRequest {
    url: Url,
    state: String,
    nonce: String,
    pkce: Pkce,
}

impl AuthorizationRequest {
    fn new(
        issuer: &Issuer,
        arguments: &GetTokenArguments,
        redirect_uri: &str,
    ) -> Result<Self, Error> {
        let (state, nonce, pkce) = (pkce::random()?, pkce::random()?, Pkce::generate()?);
        let mut url = issuer.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &arguments.client.oidc_client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &arguments.client.scopes())
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&arguments.client.oidc_auth_request_extra_params);
        Ok(Self { url, state, nonce, pkce })
    }

    async fn redeem(
        self,
        issuer: &Issuer,
        redirect_uri: &str,
        code: &Secret,
    ) -> Result<SignedIn, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &self.pkce.verifier),
        ];
        Ok(SignedIn { tokens: issuer.token(&fields).await?, nonce: Some(self.nonce) })
    }
}
