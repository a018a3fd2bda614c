//! The token endpoint of an upstream (RFC 6749 sections 4.1.3 and 6).

use countersign_core::{Secret, Trace};
use serde_json::Value;
use tracing::Instrument;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::failure;
use super::{ApiRequest, ApiResponse, Http, Registration, UpstreamError, UsedRefreshTokens};

const ENDPOINT: &str = "token endpoint";
/// Redirect URI of a diagnosis without a callback.
const NOWHERE: &str = "https://localhost/callback";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Our client id at the upstream and the client authentication.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub id: String,
    pub proof: Proof,
}

#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    Basic(Secret),
    /// `client_secret_post`.
    Post(Secret),
    /// A JWT assertion instead of a secret (RFC 7523 section 2.2).
    Assertion(Secret),
    /// A public client.
    None,
}

/// The tokens returned for a code or a refresh token.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub access: Secret,
    pub refresh: Option<Secret>,
    pub id_token: Option<Secret>,
    /// Seconds.
    pub expires_in: Option<u64>,
}

impl Tokens {
    /// Only an access token.
    pub fn of(access: Secret) -> Self {
        Self { access, refresh: None, id_token: None, expires_in: None }
    }
}

pub(crate) enum TokenResponse {
    Tokens(Tokens),
    /// `invalid_grant` or GitHub's equivalent: the code or refresh token is used, expired, revoked, or another
    /// client's.
    Refused(&'static str),
}

impl Client {
    /// Sends a token request. `form` begins with `grant_type`.
    pub async fn request_tokens(
        &self,
        http: &Http,
        url: &Url,
        mut form: Vec<(&str, &str)>,
        trace: &mut Trace,
    ) -> Result<TokenResponse, UpstreamError> {
        let mut basic = None;
        match &self.proof {
            Proof::Basic(secret) => basic = Some(basic_value(&self.id, secret)),
            Proof::Post(secret) => {
                form.extend([("client_id", self.id.as_str()), ("client_secret", secret.expose())]);
            }
            Proof::Assertion(jwt) => form.extend([
                ("client_id", self.id.as_str()),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", jwt.expose()),
            ]),
            Proof::None => form.push(("client_id", &self.id)),
        }
        let mut request = ApiRequest::form(ENDPOINT, url, &form);
        if let Some(value) = basic {
            request = request.header("authorization", value);
        }
        read_token_response(&http.send(request, trace).await?)
    }

    /// Exchanges a code for tokens (RFC 6749 section 4.1.3).
    pub async fn exchange(
        &self,
        http: &Http,
        url: &Url,
        code: &Code<'_>,
        trace: &mut Trace,
    ) -> Result<TokenResponse, UpstreamError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.code.expose()),
            ("redirect_uri", code.redirect_uri),
        ];
        form.extend(code.verifier.map(|verifier| ("code_verifier", verifier)));
        self.request_tokens(http, url, form, trace).await
    }

    /// Uses a refresh token. [`Tokens::refresh`] is the one to use next: a new one, or the same.
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    pub async fn refresh(
        &self,
        http: &Http,
        url: &Url,
        token: &Secret,
        used_refresh_tokens: &UsedRefreshTokens,
        trace: &mut Trace,
    ) -> Result<TokenResponse, UpstreamError> {
        // In its own task, so that the exchange completes and its result is kept even if the caller is dropped.
        let (client, http, url) = (self.clone(), http.clone(), url.clone());
        let (token, used_refresh_tokens) = (token.clone(), used_refresh_tokens.clone());
        let spending = async move {
            let mut trace = Trace::default();
            let granted = client.spend(&http, &url, &token, &used_refresh_tokens, &mut trace).await;
            (granted, trace)
        };
        let (granted, steps) = tokio::spawn(spending.in_current_span()).await.map_err(|_| {
            UpstreamError::Temporary("the token request was interrupted".to_owned())
        })?;
        trace.append(steps);
        granted
    }

    /// Checks that the endpoint is reachable and accepts our client credentials, by exchanging an invalid code.
    pub async fn probe(
        &self,
        http: &Http,
        url: &Url,
        registration: &Registration,
        trace: &mut Trace,
    ) -> Result<(), UpstreamError> {
        let redirect_uri = registration.redirect_uri.as_ref().map_or(NOWHERE, Url::as_str);
        let code = Secret::new("countersign-check");
        let code = Code { code: &code, redirect_uri, verifier: None };
        match self.exchange(http, url, &code, trace).await {
            Ok(TokenResponse::Refused(_)) => {
                trace.included(
                    ENDPOINT,
                    "it refuses the made-up code and accepts our client credentials",
                );
                Ok(())
            }
            Ok(TokenResponse::Tokens(_)) => Err(UpstreamError::Configuration(format!(
                "the {ENDPOINT} issues tokens for a made-up code"
            ))),
            Err(UpstreamError::Status { status: 400, code, .. })
                if !code.is_some_and(is_about_us) =>
            {
                trace.note(format!(
                    "the {ENDPOINT} is there; whether clientID and clientSecret are right it does not say"
                ));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    async fn spend(
        &self,
        http: &Http,
        url: &Url,
        token: &Secret,
        used_refresh_tokens: &UsedRefreshTokens,
        trace: &mut Trace,
    ) -> Result<TokenResponse, UpstreamError> {
        let _turn = used_refresh_tokens.turn(token).await;
        if let Some(tokens) = used_refresh_tokens.tokens_for(token) {
            trace.note("this refresh token was used a moment ago: its successor is used again");
            return Ok(TokenResponse::Tokens(tokens));
        }
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())];
        let granted = self.request_tokens(http, url, form, trace).await?;
        let TokenResponse::Tokens(mut tokens) = granted else { return Ok(granted) };
        match &tokens.refresh {
            Some(next) if !next.matches(token.expose()) => {
                used_refresh_tokens.remember(token, &tokens);
            }
            Some(_) => {}
            None => tokens.refresh = Some(token.clone()),
        }
        Ok(TokenResponse::Tokens(tokens))
    }
}

/// Whether the error (RFC 6749 section 5.2) is about our client rather than the code or token.
fn is_about_us(code: &str) -> bool {
    matches!(code, "invalid_client" | "unauthorized_client")
}

/// A code returned by the upstream.
pub(crate) struct Code<'a> {
    pub code: &'a Secret,
    pub redirect_uri: &'a str,
    /// PKCE (RFC 7636 section 4.5).
    pub verifier: Option<&'a str>,
}

/// Interprets a response with tokens, or with an error instead.
pub(crate) fn read_token_response(response: &ApiResponse) -> Result<TokenResponse, UpstreamError> {
    let endpoint = response.endpoint();
    // Some upstreams return errors with status 200.
    if let Some(code) = response.error_code() {
        return match code {
            code if failure::is_spent(code) => Ok(TokenResponse::Refused(code)),
            _ => Err(response.failure()),
        };
    }
    if response.status() != 200 {
        return Err(response.failure());
    }
    let object = response.object()?;
    let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let is_bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !is_bearer {
        return Err(UpstreamError::Lacks { endpoint, what: "a bearer token" });
    }
    let access =
        text("access_token").ok_or(UpstreamError::Lacks { endpoint, what: "an access token" })?;
    Ok(TokenResponse::Tokens(Tokens {
        access: Secret::new(access),
        refresh: text("refresh_token").map(Secret::new),
        id_token: text("id_token").map(Secret::new),
        expires_in: object.get("expires_in").and_then(Value::as_u64),
    }))
}

/// Client id and secret are form-encoded before joining (RFC 6749 section 2.3.1 and appendix B).
fn basic_value(id: &str, secret: &Secret) -> Secret {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}
