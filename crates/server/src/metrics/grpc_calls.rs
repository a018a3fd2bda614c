//! Calls of Dex's gRPC API, with the names and labels of the library that Dex's server uses.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

const SERVICE: &str = "api.Dex";
const TYPE: &str = "unary";

#[derive(Clone)]
pub(super) struct GrpcCalls {
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
    pub(super) fn registered_in(registry: &mut Registry) -> Self {
        let (started, handled) = (Family::default(), Family::default());
        let help = "Calls of the gRPC API that were received";
        registry.register("grpc_server_started", help, Family::clone(&started));
        let help = "Calls of the gRPC API that were answered, or given up by the client";
        registry.register("grpc_server_handled", help, Family::clone(&handled));
        Self { started, handled }
    }

    pub(super) fn started(&self, method: &str) {
        let labels =
            MethodLabels { grpc_method: method.to_owned(), grpc_service: SERVICE, grpc_type: TYPE };
        self.started.get_or_create(&labels).inc();
    }

    pub(super) fn handled(&self, method: &str, code: &str) {
        let labels = CallLabels {
            grpc_code: code.to_owned(),
            grpc_method: method.to_owned(),
            grpc_service: SERVICE,
            grpc_type: TYPE,
        };
        self.handled.get_or_create(&labels).inc();
    }
}
