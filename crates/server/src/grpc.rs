//! The layers around Dex's gRPC service, a router of its own on its own listener: the caller's address, a time limit,
//! and a response even if a handler panics.

use std::time::Duration;

pub use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use countersign_core::network::PeerAddress;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::proxy_headers::peer_address;

/// Time limit of one call, including reading its message. The client receives `Unavailable`.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The last layer is the outermost.
pub fn layers(service: Router) -> Router {
    service
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, CALL_TIMEOUT))
        .layer(middleware::from_fn(add_peer_address))
}

async fn add_peer_address(mut request: Request, next: Next) -> Response {
    if let Some(address) = peer_address(request.extensions()) {
        request.extensions_mut().insert(PeerAddress(address.to_canonical()));
    }
    next.run(request).await
}
