//! The back end of a client: builds authorization requests, exchanges codes, refreshes.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HOST;
use reqwest::{Method, Url};
use serde_json::Value;

use super::log::Secrets;
use super::openapi::check_response;
use super::{ALICE, ALICE_PASSWORD, AuthResponse, Client, Page, Server, claims, http};

pub struct RelyingParty {
    pub id: String,
    pub secret: Option<String>,
    pub redirect_uri: String,
    issuer: String,
    client: reqwest::Client,
    secrets: Secrets,
    at: Option<String>,
    traceparent: Option<String>,
}

/// An authorization request and what the client remembers of it.
#[derive(Clone, Debug)]
pub struct AuthRequest {
    pub url: String,
    pub redirect_uri: String,
    pub state: String,
    pub nonce: String,
    /// PKCE (RFC 7636), always S256.
    pub verifier: String,
}

/// A response of the token endpoint or another JSON endpoint, errors included.
#[derive(Clone, Debug)]
pub struct JsonResponse {
    pub status: u16,
    pub json: Value,
    pub page: Page,
}

impl RelyingParty {
    pub(super) fn new(
        client: &Client,
        issuer: &str,
        http: reqwest::Client,
        secrets: Secrets,
    ) -> Self {
        let loopback = "http://127.0.0.1:8000/callback".to_owned();
        Self {
            id: client.id.clone(),
            secret: client.secret.clone(),
            redirect_uri: client.redirect_uris.first().cloned().unwrap_or(loopback),
            issuer: issuer.to_owned(),
            client: http,
            secrets,
            at: None,
            traceparent: None,
        }
    }

    /// Sends every later request to this replica.
    pub fn via_replica(&mut self, replica: &Server) -> &mut Self {
        self.at = Some(replica.origin());
        self
    }

    /// Sets `traceparent` of every later request (W3C Trace Context).
    pub fn with_traceparent(&mut self, traceparent: &str) -> &mut Self {
        self.traceparent = Some(traceparent.to_owned());
        self
    }

    /// A new authorization request for these scopes, with state, nonce and PKCE.
    pub fn auth_request(&self, scopes: &str) -> AuthRequest {
        self.auth_request_with(scopes, &[])
    }

    /// The same with added or replaced parameters: `("prompt", "none")`. An empty value removes a parameter.
    pub fn auth_request_with(&self, scopes: &str, parameters: &[(&str, &str)]) -> AuthRequest {
        let [state, nonce, verifier] = [(); 3].map(|()| random_text());
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let mut all = vec![
            ("client_id", self.id.as_str()),
            ("redirect_uri", &self.redirect_uri),
            ("response_type", "code"),
            ("scope", scopes),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        all.retain(|(name, _)| !parameters.iter().any(|(other, _)| other == name));
        all.extend(parameters.iter().filter(|(_, value)| !value.is_empty()));
        let url =
            Url::parse_with_params(&format!("{}/auth", self.issuer), all).unwrap().to_string();
        AuthRequest { url, redirect_uri: self.redirect_uri.clone(), state, nonce, verifier }
    }

    /// Exchanges the code after checking `state` and the redirect URI.
    pub async fn redeems(
        &self,
        request: &AuthRequest,
        auth_response: &AuthResponse,
    ) -> JsonResponse {
        assert_eq!(
            auth_response.state.as_deref(),
            Some(request.state.as_str()),
            "{}",
            auth_response.url
        );
        // A relative redirect URI is a path on the issuer's host.
        let redirect_uri = match request.redirect_uri.starts_with('/') {
            true => {
                let issuer = url::Url::parse(&request.url).unwrap();
                issuer.join(&request.redirect_uri).unwrap().to_string()
            }
            false => request.redirect_uri.clone(),
        };
        assert!(auth_response.url.as_str().starts_with(&redirect_uri), "{}", auth_response.url);
        self.exchange(&[
            ("grant_type", "authorization_code"),
            ("code", &auth_response.code),
            ("redirect_uri", &request.redirect_uri),
            ("code_verifier", &request.verifier),
        ])
        .await
    }

    pub async fn refreshes(&self, refresh_token: &str) -> JsonResponse {
        self.exchange(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// `POST /token` with these fields and the client's authentication.
    pub async fn exchange(&self, fields: &[(&str, &str)]) -> JsonResponse {
        self.posts("/token", fields).await
    }

    /// `POST` with client authentication: HTTP Basic (both halves form-encoded, RFC 6749 section 2.3.1), or `client_id`
    /// for a public client.
    pub async fn posts(&self, path: &str, fields: &[(&str, &str)]) -> JsonResponse {
        let request = self.request(Method::POST, path);
        match &self.secret {
            Some(secret) => {
                let request = request.basic_auth(encoded(&self.id), Some(encoded(secret)));
                self.send(request.form(fields)).await
            }
            None => {
                let id = [("client_id", self.id.as_str())];
                let fields: Vec<_> = fields.iter().copied().chain(id).collect();
                self.send(request.form(&fields)).await
            }
        }
    }

    pub async fn userinfo(&self, access_token: &str) -> JsonResponse {
        self.send(self.request(Method::GET, "/userinfo").bearer_auth(access_token)).await
    }

    /// A request to the administrator's API with this token: `("GET", "/sessions?user=alice")`. The response is
    /// compared with the API's description.
    pub async fn calls_api(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> JsonResponse {
        let request = self.request(method.parse().unwrap(), &format!("/api/v1{path}"));
        let request = request.bearer_auth(token);
        let response = self.send(if body.is_null() { request } else { request.json(&body) }).await;
        check_response(method, path, response.status, &response.json);
        response
    }

    /// An access token for that API by the client credentials grant (RFC 6749 section 4.4).
    pub async fn client_credentials_token(&self) -> String {
        let grant = ("grant_type", "client_credentials");
        let response = self.exchange(&[grant, ("scope", "countersign:admin")]).await;
        response.access_token().to_owned()
    }

    /// `GET` with a bearer token.
    pub async fn gets_as(&self, bearer: &str, path: &str) -> JsonResponse {
        self.send(self.request(Method::GET, path).bearer_auth(bearer)).await
    }

    /// `POST` of JSON with a bearer token.
    pub async fn posts_json_as(&self, bearer: &str, path: &str, json: &Value) -> JsonResponse {
        let request = self.request(Method::POST, path).bearer_auth(bearer);
        self.send(request.header("content-type", "application/json").body(json.to_string())).await
    }

    /// `GET` of a path under the issuer.
    pub async fn gets(&self, path: &str) -> JsonResponse {
        self.send(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = Url::parse(&format!("{}{path}", self.issuer)).unwrap();
        let dialled = self.at.as_deref().map_or_else(|| url.clone(), |at| http::at(at, &url));
        let request = self.client.request(method, dialled).header(HOST, http::host_of(&url));
        match &self.traceparent {
            Some(traceparent) => request.header("traceparent", traceparent),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> JsonResponse {
        let response = request.send().await.unwrap_or_else(|e| panic!("{}: {e:?}", self.id));
        let (url, status) = (response.url().clone(), response.status().as_u16());
        let (headers, body) = (response.headers().clone(), response.text().await.unwrap());
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        let response = JsonResponse { status, json, page: Page { url, status, headers, body } };
        for token in ["access_token", "refresh_token", "id_token"] {
            self.secrets.remember(token, response.json[token].as_str().unwrap_or_default());
        }
        if let Some(token) = response.json["id_token"].as_str().filter(|t| t.contains('.')) {
            let sources = claims(token)["_claim_sources"].clone();
            for handle in sources.as_object().iter().flat_map(|all| all.values()) {
                let handle = handle["access_token"].as_str().unwrap_or_default();
                self.secrets.remember("the handle of distributed groups", handle);
            }
        }
        response
    }
}

impl JsonResponse {
    pub fn id_token(&self) -> &str {
        self.text("id_token")
    }

    pub fn access_token(&self) -> &str {
        self.text("access_token")
    }

    pub fn refresh_token(&self) -> &str {
        self.text("refresh_token")
    }

    /// The error code of a response, such as `invalid_grant` (RFC 6749 section 5.2).
    pub fn error(&self) -> &str {
        self.text("error")
    }

    fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_else(|| panic!("no {key}: {}", self.page.body))
    }
}

fn encoded(text: &str) -> String {
    let url = Url::parse_with_params("http://127.0.0.1/", [("", text)]).unwrap();
    url.query().unwrap_or_default().trim_start_matches('=').to_owned()
}

fn random_text() -> String {
    countersign_core::ids::random_token().unwrap()
}

/// Without `offline_access`, `refresh_token` is empty.
pub struct SignedInClient {
    pub app: RelyingParty,
    pub id_token: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl SignedInClient {
    /// Logs in at `client` and exchanges the code. `parameters` are added to the authorization request.
    pub async fn sign_in(
        who: (&str, &str),
        server: &Server,
        client: &str,
        scopes: &str,
        parameters: &[(&str, &str)],
    ) -> Self {
        let app = server.relying_party(client);
        let request = app.auth_request_with(scopes, parameters);
        let auth_response = server.browser().logs_in(&request, who.0, who.1).await;
        let tokens = app.redeems(&request, &auth_response).await;
        let text = |key: &str| tokens.json[key].as_str().unwrap_or_default().to_owned();
        let (access_token, refresh_token) = (text("access_token"), text("refresh_token"));
        Self { id_token: text("id_token"), access_token, refresh_token, app }
    }

    pub async fn sign_in_alice(server: &Server, client: &str, scopes: &str) -> Self {
        Self::sign_in((ALICE, ALICE_PASSWORD), server, client, scopes, &[]).await
    }

    /// Revokes the refresh token (RFC 7009).
    pub async fn revokes(&self) {
        let response = self.app.posts("/revoke", &[("token", &self.refresh_token)]).await;
        assert_eq!(response.status, 200);
    }
}
