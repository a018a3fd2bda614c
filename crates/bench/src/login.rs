//! A complete login without a browser: follows redirects, keeps cookies, submits the password form and the approval
//! form, and redeems the code.

use std::collections::HashMap;

use reqwest::{Response, header};
use url::Url;

use crate::Error;
use crate::html_form::{Form, find_form};
use crate::issuer::{Client, Issuer, Tokens};

/// Maximum number of redirects and forms of one login.
const MAX_STEPS: usize = 20;
const SCOPES: &str = "openid email profile groups offline_access";

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
