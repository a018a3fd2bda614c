//! What the collector is sent: the spans with the names that it knows, and the HTTP client. The library's thread calls the
//! client, which has no async runtime; requests are sent by the server's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign_core::text::{causes, error_chain};
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use reqwest::{Certificate, Client, redirect};
use tokio::runtime::Handle;

use super::environment::Settings;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of a response: how many spans were rejected.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Logs when the collector stops to accept spans and when it accepts them again, and nothing in between.
#[derive(Clone, Debug)]
pub struct CollectorClient {
    client: Client,
    runtime: Handle,
    is_failing: Arc<AtomicBool>,
}

impl CollectorClient {
    /// Redirects are not followed: the headers may contain a token.
    pub fn new(settings: &Settings, runtime: Handle) -> Result<Self, String> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .http1_only();
        if let Some(file) = &settings.certificate {
            let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
            let bundle = Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))?;
            builder = builder.tls_certs_merge(bundle);
        }
        let client = builder.build().map_err(|error| error_chain(&error))?;
        Ok(Self { client, runtime, is_failing: Arc::default() })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let mut response = self.client.execute(request).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let mut received = Response::new(Bytes::from(body));
        *received.status_mut() = response.status();
        *received.headers_mut() = response.headers().clone();
        Ok(received)
    }

    /// `failure`: why the spans were not accepted. The URL and the response are not logged: they may contain secrets.
    fn report(&self, failure: Option<String>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !was_failing => tracing::warn!(
                cause,
                "the OpenTelemetry collector does not accept traces; they are dropped until it does"
            ),
            None if was_failing => {
                tracing::info!("the OpenTelemetry collector accepts traces again");
            }
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let collector = self.clone();
        let sent = self.runtime.spawn(async move { collector.send(request).await }).await;
        let sent = sent.unwrap_or_else(|error| Err(error.into()));
        self.report(match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("status {}", response.status().as_u16())),
            Err(error) => Some(match error.downcast_ref::<reqwest::Error>() {
                Some(error) => innermost_cause(error),
                None => error.to_string(),
            }),
        });
        sent
    }
}

/// The last cause alone: the first contains the URL.
fn innermost_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let last = causes(error).skip(1).last();
    last.map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

/// Exports the fields that a request's span has for the log under the names that collectors know.
#[derive(Debug)]
pub struct RenamingExporter<E>(pub E);

impl<E: SpanExporter> SpanExporter for RenamingExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.attributes.retain_mut(rename);
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// `false`: the attribute is left out.
fn rename(attribute: &mut KeyValue) -> bool {
    let name = match attribute.key.as_str() {
        "request_id" => "countersign.request_id",
        "client_remote_addr" => "client.address",
        // A span has it anyway.
        "trace_id" => return false,
        _ => return true,
    };
    attribute.key = Key::from_static_str(name);
    true
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::rename;

    #[test]
    fn the_fields_of_the_log_get_the_names_of_the_conventions() {
        let names = ["request_id", "trace_id", "client_remote_addr", "http.route"];
        let mut attributes: Vec<_> = names.map(|name| KeyValue::new(name, "x")).into();
        attributes.retain_mut(rename);
        let names: Vec<_> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(names, ["countersign.request_id", "client.address", "http.route"]);
    }
}
