//! Authorization code with PKCE: by redirect to a loopback port (RFC 8252 section 7.3), or entered manually.

use std::io::IsTerminal;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::Secret;
use countersign_core::ids;
use url::Url;

use super::browser::Opened;
use super::loopback::{Expected, Listener};
use super::{LoginRequest, SignedIn, browser, loopback, prompt};
use crate::error::Error;
use crate::profile::is_web_address;
use crate::terminal::{Progress, Style};

/// The redirect URI with which an issuer shows the code to the user (out-of-band).
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// Opens a browser, or prints the URL, and waits for the redirect.
pub async fn by_redirect(login: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    let options = login.options;
    let tls = options.local_certificate.as_ref().map(|(cert, key)| loopback::acceptor(cert, key));
    let listener = Listener::bind(&options.listen_addresses, tls.transpose()?).await?;
    let redirect_uri = match &options.redirect_uri {
        Some(uri) => uri.clone(),
        None => listener.redirect_uri(&options.redirect_host),
    };
    let request = AuthorizationRequest::new(login, &redirect_uri)?;
    check_url(&request.url)?;
    (login.before_shown)()?;
    let opened = browser::open(options, &request.url).await;
    show_url(&request.url, listener.port(), opened);
    let seconds = options.timeout.as_secs();
    let text = format!("Waiting up to {seconds} s for the login in the browser");
    let progress = (opened != Opened::InTerminal).then(|| Progress::start(text));
    let expected = Expected {
        state: &request.state,
        issuer: &login.issuer.metadata.issuer,
        redirect_uri: &redirect_uri,
    };
    let wait = listener.wait_for_code(expected);
    let (code, page) = tokio::time::timeout(options.timeout, wait)
        .await
        .map_err(|_| Error::LoginFailed(format!("nobody signed in within {seconds} s")))??;
    drop(progress);
    let page = page.then_open(options.page_after_login.clone());
    match request.redeem(login, &redirect_uri, &code).await {
        Ok(signed_in) => Ok(SignedIn { page: Some(page), ..signed_in }),
        Err(error) => {
            page.show_error(&error).await;
            Err(error)
        }
    }
}

/// On a terminal the URL is shown also if a browser was opened: that may be on another screen, for example that of a desk
/// whose tmux session is used over SSH.
fn show_url(url: &Url, port: u16, opened: Opened) {
    let style = Style::for_stderr();
    match opened {
        Opened::No => eprintln!(
            "Open this URL in a browser on this machine:\n\n  {}\n\nFrom another machine, first forward the port:\n\n  \
             ssh -L {port}:127.0.0.1:{port} HOST\n",
            style.bold(url.as_str())
        ),
        Opened::InWindow if std::io::stderr().is_terminal() => eprintln!(
            "A browser was opened. If it shows no login page, open:\n\n  {}\n",
            style.dim(url.as_str())
        ),
        Opened::InWindow | Opened::InTerminal => {}
    }
}

/// The user copies the code from a page of the issuer.
pub async fn by_typed_code(login: &LoginRequest<'_>) -> Result<SignedIn, Error> {
    if !login.is_person_present {
        let text = "--grant-type authcode-keyboard needs a terminal on which the code can be typed";
        return Err(Error::LoginFailed(text.to_owned()));
    }
    let request = AuthorizationRequest::new(login, OUT_OF_BAND)?;
    check_url(&request.url)?;
    (login.before_shown)()?;
    eprintln!(
        "Open this URL in any browser:\n\n  {}\n",
        Style::for_stderr().bold(request.url.as_str())
    );
    let line = prompt::line("Enter the code: ", login.options.timeout).await?;
    if line.trim().is_empty() {
        return Err(Error::LoginFailed("no code was typed".to_owned()));
    }
    request.redeem(login, OUT_OF_BAND, &Secret::new(line.trim())).await
}

/// Accepts only https, or http on loopback: a discovery document must not make this program start another one (`file:`,
/// `calculator:`).
fn check_url(url: &Url) -> Result<(), Error> {
    match is_web_address(url) {
        true => Ok(()),
        false => Err(Error::LoginFailed(format!("the issuer's login page {url} is not https"))),
    }
}

/// An authorization request and what is needed to redeem its code.
struct AuthorizationRequest {
    url: Url,
    state: String,
    nonce: String,
    pkce: Pkce,
}

impl AuthorizationRequest {
    fn new(login: &LoginRequest<'_>, redirect_uri: &str) -> Result<Self, Error> {
        let (state, nonce, pkce) = (random()?, random()?, Pkce::generate()?);
        let mut url = login.issuer.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &login.profile.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &login.profile.scope())
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(&login.profile.extra_parameters);
        Ok(Self { url, state, nonce, pkce })
    }

    async fn redeem(
        self,
        login: &LoginRequest<'_>,
        redirect_uri: &str,
        code: &Secret,
    ) -> Result<SignedIn, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &self.pkce.verifier),
        ];
        let tokens = login.issuer.token(&fields).await?;
        Ok(SignedIn { tokens, nonce: Some(self.nonce), page: None })
    }
}

/// A `code_verifier` and its `code_challenge`.
pub struct Pkce {
    pub verifier: String,
    pub challenge: String,
}

impl Pkce {
    pub fn generate() -> Result<Self, Error> {
        Ok(Self::of(random()?))
    }

    fn of(verifier: String) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(digest), verifier }
    }
}

/// 43 characters of base64url from the operating system's generator, for `state`, `nonce` and code verifiers.
pub fn random() -> Result<String, Error> {
    ids::random_token().map_err(|cause| Error::Local(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::Pkce;

    /// The example of RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_the_sha256_of_the_verifier() {
        let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
