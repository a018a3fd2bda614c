//! Header fields in which a proxy says who somebody is. They are taken off every request at the door, so that no
//! handler can read them by mistake; the callback of the connector they belong to alone is handed them back.
//!
//! Nothing here believes them: whether the connection comes from a proxy is for the connector to say.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;

use countersign_core::connector::{LoginMethod, ProxyHeaders};

use crate::app::App;

/// With the request in place of the headers.
#[derive(Clone, Debug)]
pub struct TakenOff(pub ProxyHeaders);

pub async fn take_off(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let names: Vec<&str> = app.issuer.connectors.iter().flat_map(names_of).collect();
    if names.is_empty() {
        return next.run(request).await;
    }
    let fields = removed(request.headers_mut(), &names);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    request.extensions_mut().insert(TakenOff(ProxyHeaders { peer, fields }));
    next.run(request).await
}

fn names_of(connector: &countersign_core::Connector) -> Vec<&str> {
    match &connector.login_method {
        LoginMethod::TrustedHeader(method) => method.fields(),
        LoginMethod::Password(_) | LoginMethod::Redirect(_) => Vec::new(),
    }
}

/// Those of these names, those that some programs would take for them, and beside them `Connection`, in which
/// a browser may declare any of them to be for the next hop only.
fn removed(headers: &mut HeaderMap, names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let ours = |name: &str| names.contains(&name.replace('_', "-").as_str());
    let found: Vec<_> = headers.keys().filter(|name| ours(name.as_str())).cloned().collect();
    let mut fields = Vec::new();
    for name in found.iter().chain([&header::CONNECTION]) {
        for value in headers.get_all(name) {
            fields.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
        }
    }
    for name in found {
        headers.remove(name);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::removed;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn every_spelling_goes_and_everything_else_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "jane"),
            ("x-remote-user", "admin"),
            ("x_remote_user", "admin"),
            ("x-remote_user", "admin"),
            ("x-remote-users", "stays"),
            ("connection", "keep-alive"),
            ("cookie", "a=b"),
        ] {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        let taken = removed(&mut headers, &["x-remote-user"]);
        let mut taken: Vec<&str> = taken.iter().map(|(name, _)| name.as_str()).collect();
        taken.sort_unstable();
        let expected =
            ["connection", "x-remote-user", "x-remote-user", "x-remote_user", "x_remote_user"];
        assert_eq!(taken, expected);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "cookie", "x-remote-users"]);
    }
}
