//! HTTP requests without redirects, with limits on time and size, and the certificate authorities of the flags. Proxies
//! are taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::text::error_chain;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{
    Certificate, Client, ClientBuilder, NoProxy, Proxy, RequestBuilder, Response, StatusCode,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::profile::Transport;

/// Time limits for connecting, and for the whole response.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// A token response with a thousand groups takes some tens of kilobytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    error_description: Option<String>,
}

/// The client for requests to the issuer: with time limits and the configured certificate authorities, without
/// redirects.
pub fn http_client(transport: &Transport) -> Result<Client, Error> {
    // Following a redirect could send the request, with its secrets, to another host.
    let mut builder = with_socks_proxy(Client::builder())?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .default_headers(headers(&transport.request_headers)?)
        .user_agent(concat!("kubectl-countersign/", env!("CARGO_PKG_VERSION")));
    for file in &transport.certificate_authority {
        let option = format!("--certificate-authority {}", file.display());
        let pem =
            std::fs::read(file).map_err(|cause| Error::Local(format!("{option}: {cause}")))?;
        builder = trust(builder, &pem, &option)?;
    }
    for data in &transport.certificate_authority_data {
        let pem = STANDARD.decode(data.trim()).map_err(|cause| {
            Error::Local(format!("--certificate-authority-data is not base64: {cause}"))
        })?;
        builder = trust(builder, &pem, "--certificate-authority-data")?;
    }
    if transport.insecure_skip_tls_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder
        .build()
        .map_err(|cause| Error::Local(format!("cannot set up TLS: {}", error_chain(&cause))))
}

/// The client library uses the proxies of the environment by itself, but gives a SOCKS proxy an address instead of a
/// name. kubectl and kubelogin leave names to the proxy, for example a jump host that knows more of them than this machine.
pub fn with_socks_proxy(builder: ClientBuilder) -> Result<ClientBuilder, Error> {
    let of_environment = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .filter_map(|name| crate::environment_variable(name)?.into_string().ok())
        .find(|value| !value.is_empty())
        .unwrap_or_default();
    let Some(address) = of_environment.strip_prefix("socks5://") else { return Ok(builder) };
    // The address is not in the message, because it may contain a password.
    let proxy = Proxy::https(format!("socks5h://{address}")).map_err(|cause| {
        let cause = error_chain(&cause.without_url());
        Error::Local(format!(
            "the SOCKS proxy of the environment (HTTPS_PROXY or ALL_PROXY): {cause}"
        ))
    })?;
    Ok(builder.proxy(proxy.no_proxy(NoProxy::from_env())))
}

pub async fn send(request: RequestBuilder, url: &str) -> Result<Response, Error> {
    request.send().await.map_err(|cause| {
        let cause = error_chain(&cause.without_url());
        Error::Unreachable { url: url.to_owned(), cause }
    })
}

/// The body as JSON, of limited size.
pub async fn json<T: DeserializeOwned>(response: Response, url: &str) -> Result<T, Error> {
    let bytes = body(response, url).await?;
    serde_json::from_slice(&bytes)
        .map_err(|cause| Error::InvalidResponse { url: url.to_owned(), cause: cause.to_string() })
}

/// The OAuth error of an unsuccessful response, or a description of it.
pub async fn refusal(response: Response, url: &str) -> Error {
    let status = response.status();
    match body(response, url).await.map(|bytes| serde_json::from_slice::<ErrorResponse>(&bytes)) {
        // A proxy in front of the issuer may have JSON pages too, whose `error` is no code of OAuth.
        Ok(Ok(refused))
            if !is_unavailable(status) || UNAVAILABLE_CODES.contains(&refused.error.as_str()) =>
        {
            Error::Refused { code: refused.error, description: refused.error_description }
        }
        _ if is_unavailable(status) => unavailable(status, url),
        _ => Error::InvalidResponse {
            url: url.to_owned(),
            cause: format!("the status is {status}, without an OAuth error"),
        },
    }
}

/// The OAuth errors of an issuer, or of a part of it, that does not work at present.
const UNAVAILABLE_CODES: [&str; 3] = ["server_error", "temporarily_unavailable", "slow_down"];

/// Whether the same request may succeed later: the issuer, or a proxy in front of it, is overloaded, restarts or fails.
pub fn is_unavailable(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

pub fn unavailable(status: StatusCode, url: &str) -> Error {
    Error::Unreachable { url: url.to_owned(), cause: format!("the status is {status}") }
}

async fn body(mut response: Response, url: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= MAX_BODY_BYTES => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                let cause = format!("the response is over {MAX_BODY_BYTES} bytes");
                return Err(Error::InvalidResponse { url: url.to_owned(), cause });
            }
            Ok(None) => return Ok(bytes),
            Err(cause) => {
                let cause = error_chain(&cause.without_url());
                return Err(Error::Unreachable { url: url.to_owned(), cause });
            }
        }
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(name), Ok(value)) = parsed else {
            return Err(Error::Local(format!("--oidc-request-header {name}: not a header")));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn trust(mut builder: ClientBuilder, pem: &[u8], option: &str) -> Result<ClientBuilder, Error> {
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|cause| Error::Local(format!("{option} is not PEM: {}", error_chain(&cause))))?;
    if certificates.is_empty() {
        return Err(Error::Local(format!("{option} has no certificate")));
    }
    for certificate in certificates {
        builder = builder.add_root_certificate(certificate);
    }
    Ok(builder)
}
