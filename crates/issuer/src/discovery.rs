//! Provider metadata (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2). Only implemented features are
//! advertised.

use std::sync::Arc;

use countersign_core::GrantType;
use countersign_jose::hash;
use serde::Serialize;

use crate::{IssuerError, Settings};

/// A JSON document that is serialized when the keys are read, and served unchanged until they are read again.
#[derive(Debug)]
pub struct PublishedDocument {
    pub body: Arc<str>,
    /// A strong entity tag, with its quotation marks (RFC 9110 section 8.8.3).
    pub entity_tag: String,
}

impl PublishedDocument {
    pub(crate) fn new(body: String) -> Self {
        Self { entity_tag: format!("\"{}\"", hash::sha256(&body)), body: body.into() }
    }
}

#[derive(Debug, Serialize)]
pub struct Discovery {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub userinfo_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    pub introspection_endpoint: String,
    pub revocation_endpoint: String,
    pub end_session_endpoint: String,
    pub grant_types_supported: Vec<&'static str>,
    pub response_types_supported: Vec<String>,
    pub response_modes_supported: Vec<&'static str>,
    pub subject_types_supported: Vec<&'static str>,
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    pub code_challenge_methods_supported: Vec<&'static str>,
    pub scopes_supported: Vec<&'static str>,
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    pub claims_supported: Vec<&'static str>,
    pub prompt_values_supported: Vec<&'static str>,
    pub claims_parameter_supported: bool,
    pub request_parameter_supported: bool,
    /// Request objects are refused. Without this member the default of OpenID Connect Discovery (section 3) includes
    /// `none`, and the conformance suite then sends an unsigned request object.
    pub request_object_signing_alg_values_supported: [&'static str; 1],
    pub request_uri_parameter_supported: bool,
    pub backchannel_logout_supported: bool,
    pub backchannel_logout_session_supported: bool,
    /// RFC 9207 section 3.
    pub authorization_response_iss_parameter_supported: bool,
}

impl Discovery {
    /// The document of `/.well-known/openid-configuration`.
    pub(crate) fn document(
        settings: &Settings,
        algorithms: Vec<&'static str>,
    ) -> Result<PublishedDocument, IssuerError> {
        serde_json::to_string_pretty(&Self::of(settings, algorithms))
            .map(PublishedDocument::new)
            .map_err(|error| IssuerError::Broken(error.to_string()))
    }

    /// `algorithms` are those of the published keys.
    pub fn of(settings: &Settings, algorithms: Vec<&'static str>) -> Self {
        let issuer = &settings.issuer;
        let device = settings.allows(GrantType::DeviceCode);
        let mut scopes = vec!["openid", "email", "groups", "profile", "offline_access"];
        if !settings.admin.clients.is_empty() {
            scopes.push(countersign_core::scopes::ADMIN);
        }
        Self {
            issuer: issuer.as_str().to_owned(),
            authorization_endpoint: issuer.endpoint("/auth"),
            token_endpoint: issuer.endpoint("/token"),
            jwks_uri: issuer.endpoint("/keys"),
            userinfo_endpoint: issuer.endpoint("/userinfo"),
            device_authorization_endpoint: device.then(|| issuer.endpoint("/device/code")),
            introspection_endpoint: issuer.endpoint("/token/introspect"),
            revocation_endpoint: issuer.endpoint("/revoke"),
            end_session_endpoint: issuer.endpoint("/logout"),
            grant_types_supported: settings.grant_types_supported(),
            response_types_supported: settings.response_types_supported(),
            response_modes_supported: vec!["query", "fragment", "form_post"],
            subject_types_supported: vec!["public"],
            id_token_signing_alg_values_supported: algorithms,
            code_challenge_methods_supported: settings
                .pkce
                .methods
                .iter()
                .map(|method| method.as_str())
                .collect(),
            scopes_supported: scopes,
            token_endpoint_auth_methods_supported: vec![
                "client_secret_basic",
                "client_secret_post",
                "none",
            ],
            claims_supported: CLAIMS.to_vec(),
            prompt_values_supported: vec!["none", "login", "consent", "select_account"],
            claims_parameter_supported: false,
            request_parameter_supported: false,
            request_object_signing_alg_values_supported: ["RS256"],
            request_uri_parameter_supported: false,
            backchannel_logout_supported: true,
            backchannel_logout_session_supported: true,
            authorization_response_iss_parameter_supported: true,
        }
    }
}

const CLAIMS: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "jti",
    "nonce",
    "auth_time",
    "sid",
    "grant_id",
    "at_hash",
    "c_hash",
    "email",
    "email_verified",
    "name",
    "preferred_username",
    "groups",
    "federated_claims",
];
