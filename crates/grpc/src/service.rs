//! The table of all calls, and the calls about the server itself.

use std::sync::Arc;

use countersign_core::network::PeerAddress;
use countersign_issuer::admin::Administrator;
use countersign_issuer::discovery::Discovery;
use tonic::{Request, Response, Status, async_trait};

use crate::api::dex_server::Dex;
use crate::api::{
    CreateClientReq, CreateClientResp, CreateConnectorReq, CreateConnectorResp, CreatePasswordReq,
    CreatePasswordResp, DeleteClientReq, DeleteClientResp, DeleteConnectorReq, DeleteConnectorResp,
    DeletePasswordReq, DeletePasswordResp, DiscoveryReq, DiscoveryResp, GetClientReq,
    GetClientResp, ListClientReq, ListClientResp, ListConnectorReq, ListConnectorResp,
    ListPasswordReq, ListPasswordResp, ListRefreshReq, ListRefreshResp, RevokeRefreshReq,
    RevokeRefreshResp, UpdateClientReq, UpdateClientResp, UpdateConnectorReq, UpdateConnectorResp,
    UpdatePasswordReq, UpdatePasswordResp, VerifyPasswordReq, VerifyPasswordResp, VersionReq,
    VersionResp,
};
use crate::call::{Call, CountedCall};
use crate::{CurrentIssuer, GrpcSettings};

pub struct Service {
    pub issuer: CurrentIssuer,
    pub settings: GrpcSettings,
}

impl Service {
    /// Splits a request into its context and its message.
    fn call<T>(&self, request: Request<T>) -> (Call, T) {
        let address = request.extensions().get().map(|PeerAddress(address)| *address);
        let call = Call {
            issuer: (self.issuer)(),
            settings: self.settings.clone(),
            administrator: Administrator::grpc_client(address),
            address,
        };
        (call, request.into_inner())
    }
}

/// Implements one method of the service per line: method, messages, and the function that handles the call.
macro_rules! calls {
    ($($method:ident($request:ident) -> $response:ident = $function:path,)*) => {
        #[async_trait]
        impl Dex for Service {
            $(
                async fn $method(
                    &self,
                    request: Request<$request>,
                ) -> Result<Response<$response>, Status> {
                    let metrics = Arc::clone(&self.settings.metrics);
                    let counted = CountedCall::start(metrics, stringify!($method));
                    let (call, message) = self.call(request);
                    counted.finish($function(&call, message).await.map(Response::new))
                }
            )*
        }
    };
}

calls! {
    get_client(GetClientReq) -> GetClientResp = crate::clients::get,
    create_client(CreateClientReq) -> CreateClientResp = crate::clients::create,
    update_client(UpdateClientReq) -> UpdateClientResp = crate::clients::update,
    delete_client(DeleteClientReq) -> DeleteClientResp = crate::clients::delete,
    list_clients(ListClientReq) -> ListClientResp = crate::clients::list,
    create_password(CreatePasswordReq) -> CreatePasswordResp = crate::passwords::create,
    update_password(UpdatePasswordReq) -> UpdatePasswordResp = crate::passwords::update,
    delete_password(DeletePasswordReq) -> DeletePasswordResp = crate::passwords::delete,
    list_passwords(ListPasswordReq) -> ListPasswordResp = crate::passwords::list,
    verify_password(VerifyPasswordReq) -> VerifyPasswordResp = crate::passwords::verify,
    create_connector(CreateConnectorReq) -> CreateConnectorResp = crate::connectors::create,
    update_connector(UpdateConnectorReq) -> UpdateConnectorResp = crate::connectors::update,
    delete_connector(DeleteConnectorReq) -> DeleteConnectorResp = crate::connectors::delete,
    list_connectors(ListConnectorReq) -> ListConnectorResp = crate::connectors::list,
    get_version(VersionReq) -> VersionResp = version,
    get_discovery(DiscoveryReq) -> DiscoveryResp = discovery,
    list_refresh(ListRefreshReq) -> ListRefreshResp = crate::passwords::list_refresh_tokens,
    revoke_refresh(RevokeRefreshReq) -> RevokeRefreshResp = crate::passwords::revoke_refresh_tokens,
}

/// The version of the interface in Dex 2.45, all of whose calls are implemented. Dex increases it with each addition.
const API_VERSION: i32 = 3;

#[expect(clippy::unused_async, reason = "the table of calls awaits each")]
pub async fn version(call: &Call, _: VersionReq) -> Result<VersionResp, Status> {
    Ok(VersionResp { server: format!("countersign {}", call.settings.version), api: API_VERSION })
}

/// The discovery document, reduced to the members of Dex's message.
#[expect(clippy::unused_async, reason = "the table of calls awaits each")]
pub async fn discovery(call: &Call, _: DiscoveryReq) -> Result<DiscoveryResp, Status> {
    let algorithms = call.issuer.keyring.keys().algorithms();
    let document = Discovery::of(&call.issuer.settings, algorithms);
    let texts = |list: Vec<&'static str>| list.into_iter().map(str::to_owned).collect();
    Ok(DiscoveryResp {
        issuer: document.issuer,
        authorization_endpoint: document.authorization_endpoint,
        token_endpoint: document.token_endpoint,
        jwks_uri: document.jwks_uri,
        userinfo_endpoint: document.userinfo_endpoint,
        device_authorization_endpoint: document.device_authorization_endpoint.unwrap_or_default(),
        introspection_endpoint: document.introspection_endpoint,
        grant_types_supported: texts(document.grant_types_supported),
        response_types_supported: document.response_types_supported,
        subject_types_supported: texts(document.subject_types_supported),
        id_token_signing_alg_values_supported: texts(
            document.id_token_signing_alg_values_supported,
        ),
        code_challenge_methods_supported: texts(document.code_challenge_methods_supported),
        scopes_supported: texts(document.scopes_supported),
        token_endpoint_auth_methods_supported: texts(
            document.token_endpoint_auth_methods_supported,
        ),
        claims_supported: texts(document.claims_supported),
    })
}
