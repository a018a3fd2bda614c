//! Parses an authorization request. Until client and redirect URI are verified every error is a page; afterwards it is
//! a redirect (RFC 6749 section 4.1.2.1, RFC 9700 section 4.11).

use std::sync::Arc;

use countersign_core::client::OUT_OF_BAND;
use countersign_core::session::{Challenge, ChallengeMethod};
use countersign_core::{
    Client, ClientId, ConnectorId, GrantType, ResponseType, Scopes, ids, scopes,
};
use countersign_jose::{Expected, Typ};

use super::request::{AuthRequest, Params, Prompt, ResponseMode};
use super::response::{AuthorizationError, AuthorizationResponse, ErrorCode};
use crate::{Issuer, IssuerError};

/// Limit for all parameters together, so that the sealed request fits into cookies and URLs.
const MAX_PARAMS_BYTES: usize = 3 * 1024;

/// The supported parameters; others are ignored (RFC 6749 section 3.1).
const PARAMETERS: [&str; 18] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "prompt",
    "max_age",
    "id_token_hint",
    "login_hint",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "connector_id",
    "approval_prompt",
    "req",
];

/// The outcome of parsing an authorization request.
pub enum ParsedRequest {
    Request(Box<AuthRequest>),
    /// An error response, redirected to the client.
    Refused(AuthorizationResponse),
    /// An error page, because the redirect URI is not verified.
    Untrusted(Untrusted),
}

/// Why the request is answered with a page instead of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untrusted {
    UnknownClient,
    UnregisteredRedirect {
        client: String,
    },
    /// `client_id` or `redirect_uri` is missing or repeated.
    Ambiguous {
        parameter: &'static str,
    },
}

type Refusal = AuthorizationError;

fn refuse<T>(code: ErrorCode, description: impl Into<String>) -> Result<T, Refusal> {
    Err(AuthorizationError::new(code, description))
}

impl Issuer {
    /// Parses a request. `connector` is the one named by the path `/auth/{connector}`.
    pub fn parse_request(
        &self,
        params: &Params,
        connector: Option<ConnectorId>,
    ) -> Result<ParsedRequest, IssuerError> {
        let (client, redirect_uri) = match self.verify_client(params) {
            Ok(proven) => proven,
            Err(untrusted) => return Ok(ParsedRequest::Untrusted(untrusted)),
        };
        let id = ids::random_id()?;
        Ok(match self.read_request(params, &client, redirect_uri, connector, id) {
            Ok(request) => ParsedRequest::Request(Box::new(request)),
            Err(refusal) => {
                let mode = response_mode(params, redirect_uri, self.settings.response_types)
                    .unwrap_or_default();
                let state = params.get_exact("state").filter(|_| !params.is_repeated("state"));
                let issuer = &self.settings.issuer;
                tracing::info!(client = %client.id, error = refusal.code.as_str(), reason = %refusal.description, "authorization request refused");
                ParsedRequest::Refused(AuthorizationResponse::refusal(
                    redirect_uri,
                    mode,
                    state,
                    issuer,
                    refusal,
                ))
            }
        })
    }

    fn verify_client<'a>(&self, params: &'a Params) -> Result<(Arc<Client>, &'a str), Untrusted> {
        for parameter in ["client_id", "redirect_uri"] {
            if params.is_repeated(parameter) {
                return Err(Untrusted::Ambiguous { parameter });
            }
        }
        let client = params.get("client_id").and_then(|id| self.clients.get(&ClientId::new(id)));
        let client = client.ok_or(Untrusted::UnknownClient)?;
        // OpenID Connect Core 3.1.2.1 requires `redirect_uri`, even if only one is registered.
        let redirect_uri =
            params.get("redirect_uri").ok_or(Untrusted::Ambiguous { parameter: "redirect_uri" })?;
        if !client.allows_redirect(redirect_uri) {
            return Err(Untrusted::UnregisteredRedirect { client: client.name.clone() });
        }
        Ok((client, redirect_uri))
    }

    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    fn read_request(
        &self,
        params: &Params,
        client: &Client,
        redirect_uri: &str,
        connector: Option<ConnectorId>,
        id: String,
    ) -> Result<AuthRequest, Refusal> {
        use ErrorCode::{InvalidRequest, RequestNotSupported, RequestUriNotSupported};
        if let Some(name) = params.repeated(&PARAMETERS) {
            return refuse(InvalidRequest, format!("Parameter {} is repeated", ascii(name)));
        }
        if params.size_bytes() > MAX_PARAMS_BYTES {
            return refuse(InvalidRequest, "The parameters are longer than 3072 bytes together");
        }
        if params.has_nul() {
            return refuse(InvalidRequest, "A parameter holds a NUL character");
        }
        if params.get("request").is_some() {
            return refuse(RequestNotSupported, "Request objects are not supported");
        }
        if params.get("request_uri").is_some() {
            return refuse(RequestUriNotSupported, "Request URIs are not supported");
        }
        let response_type = self.response_type(params, redirect_uri)?;
        let response_mode = response_mode(params, redirect_uri, self.settings.response_types)?;
        // OAuth 2.0 Multiple Response Types section 3: tokens must not be returned in the query.
        if response_type.has_tokens() && response_mode == ResponseMode::Query {
            return refuse(InvalidRequest, "response_mode query is not for responses with tokens");
        }
        Ok(AuthRequest {
            id,
            client: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            response_type,
            response_mode,
            state: params.get_exact("state").map(str::to_owned),
            scopes: self.requested_scopes(
                &Scopes::parse(params.get("scope").unwrap_or_default()),
                client,
            )?,
            nonce: params.get("nonce").map(str::to_owned),
            challenge: self.challenge(params, client, response_type)?,
            prompt: prompt(params)?,
            max_age: max_age(params)?,
            hint: self.hint(params)?,
            login_hint: params.get("login_hint").map(|hint| hint.chars().take(256).collect()),
            connector: self.connector(params, client, connector, response_type)?,
            account_page: None,
            device: None,
            expires_at: self.now() + self.settings.request_lifetime_of(client),
        })
    }

    /// Parses `response_type` within `oauth2.responseTypes`; `token` alone is not a response type of OpenID Connect
    /// (Core 3).
    fn response_type(&self, params: &Params, redirect_uri: &str) -> Result<ResponseType, Refusal> {
        use ErrorCode::{InvalidRequest, UnsupportedResponseType};
        let Some(text) = params.get("response_type") else {
            return refuse(InvalidRequest, "No response_type provided");
        };
        let allowed = self.settings.response_types;
        let Some(found) = ResponseType::parse(text).filter(|found| found.within(allowed)) else {
            let known = self.settings.response_types_supported().join(", ");
            let reason = format!("Only these response types are supported: {known}");
            return refuse(UnsupportedResponseType, reason);
        };
        if found.token && !found.code && !found.id_token {
            return refuse(InvalidRequest, "Response type token needs id_token or code beside it");
        }
        if found.has_tokens() && redirect_uri == OUT_OF_BAND {
            return refuse(
                InvalidRequest,
                "Tokens are not shown on a page: use response type code",
            );
        }
        // OpenID Connect Core 3.2.2.1 and 3.3.2.11.
        if found.id_token && params.get("nonce").is_none() {
            return refuse(InvalidRequest, "Response types with id_token need a nonce");
        }
        Ok(found)
    }

    /// The scopes to grant of those requested; also used for device authorization requests.
    pub(crate) fn requested_scopes(
        &self,
        requested: &Scopes,
        client: &Client,
    ) -> Result<Scopes, Refusal> {
        if !requested.has(scopes::OPENID) {
            return refuse(ErrorCode::InvalidScope, "Missing required scope openid");
        }
        if self.settings.strict_scopes
            && let Some(unknown) = requested.iter().find(|scope| !Scopes::is_known(scope))
        {
            return refuse(
                ErrorCode::InvalidScope,
                format!("Unrecognized scope {}", ascii(unknown)),
            );
        }
        let known = requested.filtered(Scopes::is_known);
        if known.has(scopes::ADMIN) && !self.settings.admin.admits_client(&client.id) {
            let (code, admin) = (ErrorCode::InvalidScope, scopes::ADMIN);
            return refuse(code, format!("Only clients of admin.clients may ask for {admin}"));
        }
        for peer in known.audience_clients() {
            if !self.clients.get(&peer).is_some_and(|peer| peer.trusts(&client.id)) {
                let peer = ascii(peer.as_str());
                return refuse(
                    ErrorCode::InvalidScope,
                    format!("Client may not ask for tokens for {peer}"),
                );
            }
        }
        Ok(known)
    }

    /// RFC 7636 section 4.3; `plain` only where configured (RFC 9700 section 2.1.1).
    fn challenge(
        &self,
        params: &Params,
        client: &Client,
        response_type: ResponseType,
    ) -> Result<Option<Challenge>, Refusal> {
        use ErrorCode::InvalidRequest;
        let policy = &self.settings.pkce;
        let challenge = self.parse_challenge(
            params.get("code_challenge"),
            params.get_exact("code_challenge_method"),
        )?;
        let required = policy.enforce || (client.public && policy.required_for_public_clients);
        if challenge.is_none() && required && response_type.code {
            return refuse(InvalidRequest, "PKCE is required: send an S256 code_challenge");
        }
        Ok(challenge)
    }

    /// Parses a code challenge; `None` when there is none.
    pub(crate) fn parse_challenge(
        &self,
        value: Option<&str>,
        method: Option<&str>,
    ) -> Result<Option<Challenge>, Refusal> {
        use ErrorCode::InvalidRequest;
        let Some(value) = value else {
            if method.is_some_and(|method| !method.is_empty()) {
                return refuse(InvalidRequest, "code_challenge_method without code_challenge");
            }
            return Ok(None);
        };
        let method = match method {
            Some("S256") => ChallengeMethod::S256,
            Some("plain") | None => ChallengeMethod::Plain,
            Some(_) => return refuse(InvalidRequest, "Unsupported PKCE challenge method"),
        };
        if !self.settings.pkce.methods.contains(&method) {
            let name = method.as_str();
            return refuse(InvalidRequest, format!("PKCE challenge method {name} is not allowed"));
        }
        if !is_pkce_text(value) || (method == ChallengeMethod::S256 && value.len() != 43) {
            return refuse(InvalidRequest, "Malformed code_challenge");
        }
        Ok(Some(Challenge { method, value: value.to_owned() }))
    }

    /// The `sub` of `id_token_hint`. Signature and issuer are verified, but not the expiry (OpenID Connect Core
    /// 3.1.2.1).
    fn hint(&self, params: &Params) -> Result<Option<String>, Refusal> {
        let Some(token) = params.get("id_token_hint") else { return Ok(None) };
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::IdToken,
            now: None,
            leeway: std::time::Duration::ZERO,
        };
        let claims = self.keyring.keys().verifiers.verify(token, &expected);
        match claims.ok().and_then(|claims| claims.text("sub").map(str::to_owned)) {
            Some(sub) => Ok(Some(sub)),
            None => {
                refuse(ErrorCode::InvalidRequest, "id_token_hint is not a token of this issuer")
            }
        }
    }

    fn connector(
        &self,
        params: &Params,
        client: &Client,
        from_path: Option<ConnectorId>,
        response_type: ResponseType,
    ) -> Result<Option<ConnectorId>, Refusal> {
        let grant_type = match response_type.has_tokens() {
            true => GrantType::Implicit,
            false => GrantType::AuthorizationCode,
        };
        let requested = from_path.or_else(|| params.get("connector_id").map(ConnectorId::new));
        match requested {
            Some(id) if self.connectors.allowed_for(client, &id, grant_type).is_none() => {
                refuse(ErrorCode::InvalidRequest, "Unknown connector, or not for this client")
            }
            requested => Ok(requested),
        }
    }
}

/// The default of a response with tokens is the fragment (OAuth 2.0 Multiple Response Types section 2.1).
fn response_mode(
    params: &Params,
    redirect_uri: &str,
    allowed: ResponseType,
) -> Result<ResponseMode, Refusal> {
    let response_type = params.get("response_type").and_then(ResponseType::parse);
    let has_tokens = response_type.is_some_and(|found| found.has_tokens() && found.within(allowed));
    match params.get("response_mode") {
        None if has_tokens => Ok(ResponseMode::Fragment),
        None | Some("query") => Ok(ResponseMode::Query),
        Some("fragment") if redirect_uri != OUT_OF_BAND => Ok(ResponseMode::Fragment),
        Some("form_post") if redirect_uri != OUT_OF_BAND => Ok(ResponseMode::FormPost),
        Some(_) => refuse(ErrorCode::InvalidRequest, "Unsupported response_mode"),
    }
}

fn prompt(params: &Params) -> Result<Prompt, Refusal> {
    let mut prompt = Prompt::default();
    for word in params.get("prompt").unwrap_or_default().split_whitespace() {
        match word {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            "select_account" => prompt.select_account = true,
            _ => return refuse(ErrorCode::InvalidRequest, "Unsupported prompt value"),
        }
    }
    if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
        return refuse(ErrorCode::InvalidRequest, "prompt none goes with no other value");
    }
    // Dex's parameter with the meaning of `prompt=consent`.
    prompt.consent |= params.get("approval_prompt") == Some("force");
    Ok(prompt)
}

fn max_age(params: &Params) -> Result<Option<u64>, Refusal> {
    let Some(text) = params.get("max_age") else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(seconds) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(seconds)),
        _ => refuse(ErrorCode::InvalidRequest, "max_age is not a number of seconds"),
    }
}

/// Whether the text has the alphabet and length of RFC 7636 section 4.1.
pub(crate) fn is_pkce_text(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// Reduces a text to the characters of an `error_description` (RFC 6749 section 4.1.2.1), at most 80.
fn ascii(text: &str) -> String {
    let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    text.chars().filter(allowed).take(80).collect()
}
