//! Dex's administration API, version 2 (service `api.Dex`), for programs that manage clients, local users and
//! connectors. The only crate that uses tonic and prost.
//!
//! The wire format is `proto/api.proto`. Each call maps a message to an operation of `countersign_issuer::admin` and
//! its outcome to a message; decisions are there. There is no authorization, as in Dex: whoever can connect, or has a
//! certificate of `grpc.tlsClientCA`, is an administrator.
//!
//! | module | calls |
//! |---|---|
//! | [`clients`] | GetClient, CreateClient, UpdateClient, DeleteClient, ListClients |
//! | [`passwords`] | CreatePassword, UpdatePassword, DeletePassword, ListPasswords, VerifyPassword |
//! | [`connectors`] | CreateConnector, UpdateConnector, DeleteConnector, ListConnectors |
//! | [`tokens`] | ListRefresh, RevokeRefresh |
//! | [`information`] | GetVersion, GetDiscovery |
//!
//! [`service`] is the table of all calls, [`status`] says how a refusal looks.

mod call;
mod clients;
mod connectors;
mod information;
mod passwords;
mod service;
mod tokens;

use std::sync::Arc;

use countersign_issuer::Issuer;
use tonic::service::Routes;

use service::Service;

/// Written by `generate` from `proto/api.proto`.
mod api {
    #![expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    #![allow(clippy::pedantic, reason = "generated code")]
    include!("generated/api.rs");
}

/// For server reflection: the compiled `proto/api.proto`.
const DESCRIPTOR: &[u8] = include_bytes!("generated/descriptor.bin");
/// The longest message that is read, such as the configuration of a connector.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// How the service is configured.
#[derive(Clone)]
pub struct GrpcSettings {
    /// Of the program, for GetVersion.
    pub version: &'static str,
    /// Whether connectors can be listed and changed (Dex: `DEX_API_CONNECTORS_CRUD`).
    pub has_connectors: bool,
    /// Whether the service describes itself (gRPC server reflection).
    pub has_reflection: bool,
}

/// The issuer that answers now: a reload of the configuration replaces it.
pub type CurrentIssuer = Arc<dyn Fn() -> Arc<Issuer> + Send + Sync>;

/// The service as routes. Requests carry a `countersign_core::network::PeerAddress` where it is known. The error says
/// why the service cannot describe itself.
pub fn routes(issuer: CurrentIssuer, settings: GrpcSettings) -> Result<Routes, String> {
    let has_reflection = settings.has_reflection;
    let service = api::dex_server::DexServer::new(Service { issuer, settings })
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let routes = Routes::new(service);
    if !has_reflection {
        return Ok(routes);
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR)
    };
    // Programs of before 2023 know only the alpha version.
    let v1 = reflection().build_v1().map_err(|e| e.to_string())?;
    let v1_alpha = reflection().build_v1alpha().map_err(|e| e.to_string())?;
    Ok(routes.add_service(v1).add_service(v1_alpha))
}
