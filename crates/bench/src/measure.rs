//! Measures operations: workers that each send requests, in a closed loop and at a fixed rate.

use std::sync::Arc;

use reqwest::{RequestBuilder, Response};

use crate::Error;
use crate::arguments::LoadArguments;
use crate::bare::BareServer;
use crate::issuer::{Issuer, Tokens, authorization_url, sign_in};
use crate::load::{self, LoadResult, Task};
use crate::process::{Process, with_peak_memory};
use crate::report::{OperationResult, Run};
use crate::setup::{Operation, Setup};
use crate::statistics::Percentiles;

/// The server under test.
#[derive(Clone)]
pub struct Target {
    pub issuer: Arc<Issuer>,
    /// `None`: it runs on another machine.
    pub process: Option<Process>,
    /// `None`: not known.
    pub setup: Option<Setup>,
}

/// One worker: a user at one client, with the tokens of its own login.
struct Worker {
    issuer: Arc<Issuer>,
    number: usize,
    operation: Operation,
    /// What operations without parameters request.
    document: String,
    tokens: Tokens,
}

impl Task for Worker {
    async fn run(&mut self) -> Result<(), Error> {
        let issuer = &self.issuer;
        let client = issuer.client(self.number)?;
        match self.operation {
            Operation::Discovery
            | Operation::Keys
            | Operation::BareDiscovery
            | Operation::BareKeys => succeed(issuer.http.get(&self.document)).await,
            Operation::Auth => {
                let url = authorization_url(issuer, client)?;
                let response = issuer.http.get(url).send().await?;
                match response.status().is_success() || response.status().is_redirection() {
                    true => read(response).await,
                    false => Err(format!("{} answered {}", "/auth", response.status()).into()),
                }
            }
            Operation::Login => sign_in(issuer, client).await.map(|_| ()),
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

/// Measures these operations one after another, and the server's memory before and after them.
pub async fn measure_all(
    target: &Target,
    operations: &[Operation],
    load: &LoadArguments,
) -> Result<Run, Error> {
    let resident = || target.process.map(Process::resident_mib).transpose();
    let mut run = Run { setup: target.setup, resident_idle_mib: resident()?, ..Run::default() };
    for operation in operations {
        eprintln!("    {}", operation.name());
        run.operations.push(measure(target, *operation, load).await?);
    }
    run.resident_after_mib = resident()?;
    Ok(run)
}

/// Runs the closed loop, then the fixed rate if one is given.
async fn measure(
    target: &Target,
    operation: Operation,
    load: &LoadArguments,
) -> Result<OperationResult, Error> {
    let issuer = &*target.issuer;
    let bare = match operation.is_bare() {
        true => Some(BareServer::start(issuer, &document(issuer, operation)).await?),
        false => None,
    };
    let process = bare.as_ref().map(BareServer::process).or(target.process);
    let workers = workers(target, operation, load.concurrency).await?;
    let before = process.map(Process::cpu_time).transpose()?;
    let closed = load::closed_loop(workers, load.duration());
    let (closed, peak_resident_mib) = with_peak_memory(process, closed).await?;
    let closed = closed?;
    let after = process.map(Process::cpu_time).transpose()?;
    let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let at_rate = match load.rate {
        None => None,
        Some(rate) => {
            let workers = self::workers(target, operation, load.concurrency).await?;
            Some(load::fixed_rate(workers, load.duration(), rate).await?)
        }
    };
    Ok(OperationResult {
        operation: operation.name(),
        signatures: operation.signatures(target.setup.as_ref()),
        per_second: closed.per_second(),
        cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / as_float(&closed)),
        peak_resident_mib,
        latency: Percentiles::of(&closed.latencies),
        latency_at_rate: at_rate.as_ref().map(|result| Percentiles::of(&result.latencies)),
        achieved_rate: at_rate.as_ref().map(LoadResult::per_second),
    })
}

/// Makes this many logins in total.
pub async fn log_in(target: &Target, logins: u32, load: &LoadArguments) -> Result<(), Error> {
    let workers = workers(target, Operation::Login, load.concurrency).await?;
    load::repeat(workers, logins).await.map(|_| ())
}

/// The document that an operation requests, or whose size it imitates.
fn document(issuer: &Issuer, operation: Operation) -> String {
    match operation {
        Operation::Keys | Operation::BareKeys => issuer.endpoints.jwks_uri.clone(),
        _ => issuer.discovery_url(),
    }
}

fn as_float(result: &LoadResult) -> f64 {
    f64::from(u32::try_from(result.latencies.len()).unwrap_or(u32::MAX)).max(1.0)
}

async fn workers(
    target: &Target,
    operation: Operation,
    concurrency: u16,
) -> Result<Vec<Worker>, Error> {
    let issuer = &target.issuer;
    let document = match operation.is_bare() {
        true => BareServer::url(),
        false => document(issuer, operation),
    };
    let mut workers = Vec::new();
    for number in 0..usize::from(concurrency) {
        let tokens = match operation.needs_tokens() {
            true => sign_in(issuer, issuer.client(number)?).await?,
            false => Tokens::default(),
        };
        let (issuer, document) = (Arc::clone(issuer), document.clone());
        workers.push(Worker { issuer, number, operation, document, tokens });
    }
    Ok(workers)
}
