//! Calls about the server itself.

use countersign_issuer::discovery::Discovery;
use tonic::Status;

use crate::api::{DiscoveryReq, DiscoveryResp, VersionReq, VersionResp};
use crate::call::Call;

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
