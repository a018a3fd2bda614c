//! The load: people who sign in, and applications that refresh, each waiting for its answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, header};
use serde_json::Value;
use url::Url;

use crate::Error;
use crate::server::{CLIENT, ISSUER, REDIRECT};

pub const CORE: usize = 1;
pub const AT_ONCE: usize = 32;
const MOST_HOPS: usize = 10;

pub fn client() -> Result<Client, Error> {
    Ok(Client::builder().redirect(Policy::none()).pool_max_idle_per_host(AT_ONCE).build()?)
}

/// Signs in with a fresh browser and redeems the code. Gives the refresh token.
pub async fn sign_in(http: &Client) -> Result<String, Error> {
    let mut cookies: HashMap<String, String> = HashMap::new();
    let mut url = Url::parse_with_params(
        &format!("{ISSUER}/auth"),
        [
            ("client_id", CLIENT.0),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "openid email groups offline_access"),
        ],
    )?;
    for _ in 0..MOST_HOPS {
        if let Some(code) = url.as_str().starts_with(REDIRECT).then(|| code_of(&url)).flatten() {
            return redeem(http, &code).await;
        }
        let brought: Vec<String> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let request = http.get(url.clone()).header(header::COOKIE, brought.join("; "));
        let answer = request.send().await?;
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').ok_or("a cookie without a value")?;
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = answer.headers().get(header::LOCATION).ok_or("a page where none was due")?;
        url = url.join(location.to_str()?)?;
    }
    Err("the login did not end".into())
}

fn code_of(url: &Url) -> Option<String> {
    url.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned())
}

async fn redeem(http: &Client, code: &str) -> Result<String, Error> {
    let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)];
    token(http, &form).await
}

pub async fn refresh(http: &Client, token_before: &str) -> Result<String, Error> {
    token(http, &[("grant_type", "refresh_token"), ("refresh_token", token_before)]).await
}

async fn token(http: &Client, form: &[(&str, &str)]) -> Result<String, Error> {
    let (id, secret) = CLIENT;
    let request = http.post(format!("{ISSUER}/token")).basic_auth(id, Some(secret)).form(form);
    let answer: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
    let next = answer.get("refresh_token").and_then(Value::as_str);
    next.map(str::to_owned).ok_or_else(|| format!("no refresh token in {answer}").into())
}

/// How many times a second `AT_ONCE` workers do `work` until the time is over.
pub async fn rate<W, F>(lasting: Duration, workers: Vec<W>, work: fn(W) -> F) -> Result<f64, Error>
where
    W: Send + 'static,
    F: Future<Output = Result<W, Error>> + Send + 'static,
{
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut worker in workers {
        tasks.spawn(async move {
            let mut done = 0_u32;
            while begun.elapsed() < lasting {
                worker = work(worker).await?;
                done += 1;
            }
            Ok::<u32, Error>(done)
        });
    }
    let mut total = 0_u32;
    while let Some(done) = tasks.join_next().await {
        total += done??;
    }
    Ok(f64::from(total) / begun.elapsed().as_secs_f64())
}
