//! An application's own back end: builds authorization requests, redeems codes, refreshes.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HOST;
use reqwest::{Method, Url};
use serde_json::Value;

use super::openapi::check_response;
use super::secrets::Secrets;
use super::{Arrival, Client, Page, Server, claims, http};

pub struct RelyingParty {
    pub id: String,
    pub secret: Option<String>,
    pub redirect_uri: String,
    issuer: String,
    client: reqwest::Client,
    secrets: Secrets,
    at: Option<String>,
}

/// An authorization request on its way, and what its application remembers of it.
#[derive(Clone, Debug)]
pub struct Request {
    pub url: String,
    pub redirect_uri: String,
    pub state: String,
    pub nonce: String,
    /// PKCE (RFC 7636), always S256.
    pub verifier: String,
}

/// What the token endpoint or another one said, refusals included.
#[derive(Clone, Debug)]
pub struct Answer {
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
        }
    }

    /// From now on it talks to this replica.
    pub fn through(&mut self, replica: &Server) -> &mut Self {
        self.at = Some(replica.origin());
        self
    }

    /// A new authorization request for these scopes, with state, nonce and PKCE.
    pub fn asks(&self, scopes: &str) -> Request {
        self.asks_with(scopes, &[])
    }

    /// The same with more parameters, or others: `("prompt", "none")`. An empty value leaves out.
    pub fn asks_with(&self, scopes: &str, parameters: &[(&str, &str)]) -> Request {
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
        Request { url, redirect_uri: self.redirect_uri.clone(), state, nonce, verifier }
    }

    /// Redeems the code of a login it began, after checking that the answer is its own.
    pub async fn redeems(&self, request: &Request, arrival: &Arrival) -> Answer {
        assert_eq!(arrival.state.as_deref(), Some(request.state.as_str()), "{}", arrival.url);
        assert!(arrival.url.as_str().starts_with(&request.redirect_uri), "{}", arrival.url);
        self.exchange(&[
            ("grant_type", "authorization_code"),
            ("code", &arrival.code),
            ("redirect_uri", &request.redirect_uri),
            ("code_verifier", &request.verifier),
        ])
        .await
    }

    pub async fn refreshes(&self, refresh_token: &str) -> Answer {
        self.exchange(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// `POST /token` with these fields and the client's own authentication.
    pub async fn exchange(&self, fields: &[(&str, &str)]) -> Answer {
        self.posts("/token", fields).await
    }

    /// `POST` to any endpoint where a client authenticates: with Basic (both halves form-encoded,
    /// RFC 6749 section 2.3.1), or only by its id if it is public.
    pub async fn posts(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
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

    pub async fn userinfo(&self, access_token: &str) -> Answer {
        self.send(self.request(Method::GET, "/userinfo").bearer_auth(access_token)).await
    }

    /// A call of the administrator's API with this token: `("GET", "/sessions?user=alice")`. The response is
    /// compared with the API's description.
    pub async fn calls(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let request = self.request(method.parse().unwrap(), &format!("/api/v1{path}"));
        let request = request.bearer_auth(token);
        let answer = self.send(if body.is_null() { request } else { request.json(&body) }).await;
        check_response(method, path, answer.status, &answer.json);
        answer
    }

    /// A token of the client's own for that API (RFC 6749 section 4.4).
    pub async fn own_token(&self) -> String {
        let grant = ("grant_type", "client_credentials");
        let answer = self.exchange(&[grant, ("scope", "countersign:admin")]).await;
        answer.access_token().to_owned()
    }

    /// What stands at this path for the bearer of a token.
    pub async fn reads_as(&self, bearer: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(bearer)).await
    }

    /// `POST` of JSON by the bearer of a token.
    pub async fn posts_json_as(&self, bearer: &str, path: &str, json: &Value) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(bearer);
        self.send(request.header("content-type", "application/json").body(json.to_string())).await
    }

    /// Whatever stands at this path under the issuer.
    pub async fn reads(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = Url::parse(&format!("{}{path}", self.issuer)).unwrap();
        let dialled = self.at.as_deref().map_or_else(|| url.clone(), |at| http::at(at, &url));
        self.client.request(method, dialled).header(HOST, http::host_of(&url))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap_or_else(|e| panic!("{}: {e:?}", self.id));
        let (url, status) = (answer.url().clone(), answer.status().as_u16());
        let (headers, body) = (answer.headers().clone(), answer.text().await.unwrap());
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        let answer = Answer { status, json, page: Page { url, status, headers, body } };
        for token in ["access_token", "refresh_token", "id_token"] {
            self.secrets.keep(token, answer.json[token].as_str().unwrap_or_default());
        }
        if let Some(token) = answer.json["id_token"].as_str().filter(|t| t.contains('.')) {
            let sources = claims(token)["_claim_sources"].clone();
            for handle in sources.as_object().iter().flat_map(|all| all.values()) {
                let handle = handle["access_token"].as_str().unwrap_or_default();
                self.secrets.keep("the handle of distributed groups", handle);
            }
        }
        answer
    }
}

impl Answer {
    pub fn id_token(&self) -> &str {
        self.text("id_token")
    }

    pub fn access_token(&self) -> &str {
        self.text("access_token")
    }

    pub fn refresh_token(&self) -> &str {
        self.text("refresh_token")
    }

    /// The word of a refusal, such as `invalid_grant` (RFC 6749 section 5.2).
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
