//! The issuer under test: its endpoints, from discovery, and the credentials to sign in.

use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// Number of idle connections kept; at least one per worker.
const POOL: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub id: String,
    pub secret: String,
}

pub struct IssuerOptions {
    pub url: String,
    pub clients: Vec<Client>,
    pub redirect_uri: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub connector: Option<String>,
}

/// Provider metadata (OpenID Connect Discovery section 3).
#[derive(Deserialize)]
pub struct Endpoints {
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub userinfo_endpoint: Option<String>,
    pub introspection_endpoint: Option<String>,
}

pub struct Issuer {
    pub http: reqwest::Client,
    pub options: IssuerOptions,
    pub endpoints: Endpoints,
}

/// The token endpoint's response.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: Option<String>,
}

impl Client {
    /// `ID:SECRET`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (id, secret) = text.split_once(':').ok_or("expected ID:SECRET")?;
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }
}

impl Issuer {
    pub async fn discover(options: IssuerOptions) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .pool_max_idle_per_host(POOL)
            .build()?;
        let response = http.get(discovery_url(&options.url)).send().await?.error_for_status()?;
        let endpoints = serde_json::from_slice(&response.bytes().await?)?;
        Ok(Self { http, options, endpoints })
    }

    pub fn discovery_url(&self) -> String {
        discovery_url(&self.options.url)
    }

    /// The client used by the worker with this number.
    pub fn client(&self, worker: usize) -> Result<&Client, Error> {
        let clients = &self.options.clients;
        clients.iter().cycle().nth(worker).ok_or_else(|| "no client is given".into())
    }

    /// A token request (RFC 6749 sections 4.1.3 and 6) with client_secret_basic.
    pub async fn request_tokens(
        &self,
        client: &Client,
        form: &[(&str, &str)],
    ) -> Result<Tokens, Error> {
        let request = self.http.post(&self.endpoints.token_endpoint);
        let request = request.basic_auth(&client.id, Some(&client.secret)).form(form);
        let response: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
        let text = |name: &str| response.get(name).and_then(Value::as_str).map(str::to_owned);
        let error = || format!("no access token: {}", text("error").unwrap_or_default());
        Ok(Tokens {
            access_token: text("access_token").ok_or_else(error)?,
            refresh_token: text("refresh_token"),
        })
    }
}

fn discovery_url(issuer: &str) -> String {
    format!("{issuer}/.well-known/openid-configuration")
}
