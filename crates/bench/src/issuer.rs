//! The issuer under test: its endpoints, from discovery, the credentials to sign in, and a complete login without a
//! browser: it follows redirects, keeps cookies, submits the password form and the approval form, and redeems the code.

use std::collections::HashMap;

use reqwest::redirect::Policy;
use reqwest::{Response, header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::Error;
use crate::html_form::{Form, find_form};

/// Number of idle connections kept; at least one per worker.
const POOL: usize = 1024;
/// Maximum number of redirects and forms of one login.
const MAX_STEPS: usize = 20;
const SCOPES: &str = "openid email profile groups offline_access";

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

/// The cookies of one browser at one issuer; paths and attributes are ignored.
#[derive(Default)]
struct Browser {
    cookies: HashMap<String, String>,
}

/// Signs in with a new browser and redeems the code.
pub async fn sign_in(issuer: &Issuer, client: &Client) -> Result<Tokens, Error> {
    let mut browser = Browser::default();
    let redirect_uri = issuer.options.redirect_uri.as_str();
    let mut url = authorization_url(issuer, client)?;
    let mut form: Option<Form> = None;
    for _ in 0..MAX_STEPS {
        if url.as_str().starts_with(redirect_uri) {
            let code = code_of(&url).ok_or_else(|| format!("the login ended in {url}"))?;
            let form = [
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", redirect_uri),
            ];
            return issuer.request_tokens(client, &form).await;
        }
        let response = browser.send(issuer, &url, form.take()).await?;
        if let Some(location) = response.headers().get(header::LOCATION) {
            url = url.join(location.to_str()?)?;
            continue;
        }
        let status = response.status();
        let page = response.text().await?;
        match next_form(issuer, &page) {
            Some(next) => {
                url = url.join(&next.action)?;
                form = Some(next);
            }
            None => match connector_link(issuer, &page) {
                Some(link) => url = url.join(&link)?,
                None => return Err(format!("{url} answered {status} without a form").into()),
            },
        }
    }
    Err(format!("the login did not end within {MAX_STEPS} steps").into())
}

/// The first request of a login, without a session.
pub fn authorization_url(issuer: &Issuer, client: &Client) -> Result<Url, Error> {
    let mut endpoint = issuer.endpoints.authorization_endpoint.clone();
    if let Some(connector) = &issuer.options.connector {
        endpoint = format!("{endpoint}/{connector}");
    }
    let parameters = [
        ("client_id", client.id.as_str()),
        ("redirect_uri", &issuer.options.redirect_uri),
        ("response_type", "code"),
        ("scope", SCOPES),
        ("state", "bench"),
    ];
    Ok(Url::parse_with_params(&endpoint, parameters)?)
}

/// The form to submit on this page, with its fields filled: a password form, or one that only needs confirmation.
fn next_form(issuer: &Issuer, page: &str) -> Option<Form> {
    let mut form = find_form(page)?;
    if form.has_password() {
        form.fill(issuer.options.user.as_deref()?, issuer.options.password.as_deref()?);
    }
    Some(form)
}

/// The link of the configured connector on a selection page.
fn connector_link(issuer: &Issuer, page: &str) -> Option<String> {
    let path = format!("/auth/{}", issuer.options.connector.as_deref()?);
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.map(|link| link.replace("&amp;", "&")).find(|link| link.contains(&path))
}

fn code_of(url: &Url) -> Option<String> {
    url.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned())
}

impl Browser {
    async fn send(
        &mut self,
        issuer: &Issuer,
        url: &Url,
        form: Option<Form>,
    ) -> Result<Response, Error> {
        let request = match &form {
            Some(form) if form.is_post => issuer.http.post(url.clone()).form(&form.fields),
            Some(form) => {
                let mut url = url.clone();
                url.query_pairs_mut().extend_pairs(&form.fields);
                issuer.http.get(url)
            }
            None => issuer.http.get(url.clone()),
        };
        let cookies: Vec<String> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        // Issuers accept forms only from their own pages.
        let request = request.header(header::ORIGIN, url.origin().ascii_serialization());
        let request = match cookies.is_empty() {
            true => request,
            false => request.header(header::COOKIE, cookies.join("; ")),
        };
        let response = request.send().await?;
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').ok_or("a cookie without a value")?;
            match value.is_empty() {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Ok(response)
    }
}
