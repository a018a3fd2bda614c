//! The layers around Dex's gRPC service, a router of its own on its own listener: the caller's address, a time limit,
//! and a response even if a handler panics; and the counters of its calls.

use std::time::Duration;

pub use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use countersign_core::network::PeerAddress;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::proxy_headers::peer_address;

/// Time limit of one call, including reading its message. The client receives `Unavailable`.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The values of two labels, the same for all calls.
const SERVICE_LABEL: &str = "api.Dex";
const TYPE_LABEL: &str = "unary";

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

/// Calls of Dex's gRPC API, with the names and labels of the library that Dex's server uses.
#[derive(Clone)]
pub(crate) struct GrpcCalls {
    started: Family<MethodLabels, Counter>,
    handled: Family<CallLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MethodLabels {
    grpc_method: String,
    grpc_service: &'static str,
    grpc_type: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    grpc_code: String,
    grpc_method: String,
    grpc_service: &'static str,
    grpc_type: &'static str,
}

impl GrpcCalls {
    pub(crate) fn registered_in(registry: &mut Registry) -> Self {
        let (started, handled) = (Family::default(), Family::default());
        let help = "Calls of the gRPC API that were received";
        registry.register("grpc_server_started", help, Family::clone(&started));
        let help = "Calls of the gRPC API that were answered, or given up by the client";
        registry.register("grpc_server_handled", help, Family::clone(&handled));
        Self { started, handled }
    }

    pub(crate) fn started(&self, method: &str) {
        let labels = MethodLabels {
            grpc_method: method.to_owned(),
            grpc_service: SERVICE_LABEL,
            grpc_type: TYPE_LABEL,
        };
        self.started.get_or_create(&labels).inc();
    }

    pub(crate) fn handled(&self, method: &str, code: &str) {
        let labels = CallLabels {
            grpc_code: code.to_owned(),
            grpc_method: method.to_owned(),
            grpc_service: SERVICE_LABEL,
            grpc_type: TYPE_LABEL,
        };
        self.handled.get_or_create(&labels).inc();
    }
}
