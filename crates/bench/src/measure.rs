//! Measures one operation: workers that each send requests, in a closed loop and at a fixed rate.

use std::sync::Arc;

use reqwest::{RequestBuilder, Response};

use crate::Error;
use crate::arguments::LoadArguments;
use crate::issuer::{Issuer, Tokens};
use crate::load::{self, LoadResult, Task};
use crate::login;
use crate::operation::Operation;
use crate::process::Process;
use crate::report::OperationResult;

/// One worker: a user at one client, with the tokens of its own login.
struct Worker {
    issuer: Arc<Issuer>,
    number: usize,
    operation: Operation,
    tokens: Tokens,
}

impl Task for Worker {
    async fn run(&mut self) -> Result<(), Error> {
        let issuer = &self.issuer;
        let client = issuer.client(self.number)?;
        match self.operation {
            Operation::Discovery => succeed(issuer.http.get(issuer.discovery_url())).await,
            Operation::Keys => succeed(issuer.http.get(&issuer.endpoints.jwks_uri)).await,
            Operation::Auth => {
                let url = login::authorization_url(issuer, client)?;
                let response = issuer.http.get(url).send().await?;
                match response.status().is_success() || response.status().is_redirection() {
                    true => read(response).await,
                    false => Err(format!("{} answered {}", "/auth", response.status()).into()),
                }
            }
            Operation::Login => login::sign_in(issuer, client).await.map(|_| ()),
            Operation::Refresh => {
                let token = self.tokens.refresh_token.as_deref().ok_or("no refresh token")?;
                let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
                self.tokens = issuer.request_tokens(client, &form).await?;
                Ok(())
            }
            Operation::Userinfo => {
                let url = issuer.endpoints.userinfo_endpoint.as_ref().ok_or("no userinfo")?;
                succeed(issuer.http.get(url).bearer_auth(&self.tokens.access_token)).await
            }
            Operation::Introspection => {
                let url = issuer.endpoints.introspection_endpoint.as_ref();
                let request = issuer.http.post(url.ok_or("no introspection endpoint")?);
                let request = request.basic_auth(&client.id, Some(&client.secret));
                succeed(request.form(&[("token", &self.tokens.access_token)])).await
            }
        }
    }
}

async fn succeed(request: RequestBuilder) -> Result<(), Error> {
    read(request.send().await?.error_for_status()?).await
}

/// Reads the body, so that the connection can be reused.
async fn read(response: Response) -> Result<(), Error> {
    response.bytes().await?;
    Ok(())
}

/// Runs the closed loop, then the fixed rate if one is given.
pub async fn measure(
    issuer: &Arc<Issuer>,
    process: Option<Process>,
    operation: Operation,
    load: &LoadArguments,
) -> Result<OperationResult, Error> {
    let workers = workers(issuer, operation, load).await?;
    let before = process.map(super::process::Process::cpu_time).transpose()?;
    let closed = load::closed_loop(workers, load.duration()).await?;
    let after = process.map(super::process::Process::cpu_time).transpose()?;
    let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let at_rate = match load.rate {
        None => None,
        Some(rate) => {
            let workers = self::workers(issuer, operation, load).await?;
            Some(load::fixed_rate(workers, load.duration(), rate).await?)
        }
    };
    let cpu_us = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / as_float(&closed));
    Ok(OperationResult::new(operation, &closed, cpu_us, at_rate.as_ref()))
}

fn as_float(result: &LoadResult) -> f64 {
    f64::from(u32::try_from(result.latencies.len()).unwrap_or(u32::MAX)).max(1.0)
}

async fn workers(
    issuer: &Arc<Issuer>,
    operation: Operation,
    load: &LoadArguments,
) -> Result<Vec<Worker>, Error> {
    let mut workers = Vec::new();
    for number in 0..usize::from(load.concurrency) {
        let tokens = match operation.needs_tokens() {
            true => login::sign_in(issuer, issuer.client(number)?).await?,
            false => Tokens::default(),
        };
        workers.push(Worker { issuer: Arc::clone(issuer), number, operation, tokens });
    }
    Ok(workers)
}
