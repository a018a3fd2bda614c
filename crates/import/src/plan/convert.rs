//! Converts clients, passwords and connectors of Dex.

use countersign_core::client::registration::{check_client, parse_backchannel_logout_uri};
use countersign_core::{Client, Secret, StoredConnector, StoredUser};
use countersign_issuer::{Issuer, IssuerError, stored};
use countersign_store::StoredObject;

use crate::dex::{DexClient, DexConnector, DexPassword};

/// An object of Dex converted to a stored object, or the reason why not.
pub(super) struct Converted {
    pub what: String,
    pub result: Result<StoredObject, ConversionError>,
    pub warnings: Vec<String>,
}

pub(super) enum ConversionError {
    /// The object is not imported, for this reason.
    Skipped(String),
    Failed(IssuerError),
}

/// Calls `object` if `checked` is `Ok`; otherwise the object is skipped for the reason in `checked`.
fn converted(
    checked: Result<(), String>,
    object: impl FnOnce() -> Result<StoredObject, IssuerError>,
) -> Result<StoredObject, ConversionError> {
    checked.map_err(ConversionError::Skipped)?;
    object().map_err(ConversionError::Failed)
}

const IN_FILE: &str = "the configuration file has one of this id, which comes first as in Dex";

pub(super) fn client(issuer: &Issuer, dex: &DexClient) -> Converted {
    let mut warnings = Vec::new();
    let what = format!("client {}", dex.id);
    if issuer.clients.is_configured(&dex.id) {
        let result = Err(ConversionError::Skipped(IN_FILE.to_owned()));
        return Converted { what, result, warnings };
    }
    let client = converted_client(dex, &mut warnings);
    if dex.needs_mfa {
        warnings.push("it requires a second factor, which is not supported".to_owned());
    }
    // The same validation as for a client of the configuration file or of the gRPC API.
    let result = converted(check_client(&client), || stored::client_object(&issuer.root, &client));
    Converted { what, result, warnings }
}

fn converted_client(dex: &DexClient, warnings: &mut Vec<String>) -> Client {
    let logout = match dex.backchannel_logout_uri.as_str() {
        "" => None,
        text => parse_backchannel_logout_uri(text)
            .map_err(|reason| {
                warnings.push(format!("its backchannelLogoutURI is left out: {text:?}: {reason}"));
            })
            .ok(),
    };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Client {
        id: dex.id.clone(),
        secret: text(dex.secret.expose()).map(Secret::from),
        name: text(&dex.name).unwrap_or_else(|| dex.id.to_string()),
        logo_url: text(&dex.logo_url),
        redirect_uris: dex.redirect_uris.clone(),
        trusted_peers: dex.trusted_peers.clone(),
        public: dex.public,
        allowed_connectors: dex.allowed_connectors.clone(),
        post_logout_redirect_uris: dex.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: logout,
        ends_with_browser: dex.refresh_token_lifetime == "session",
        ..Client::default()
    }
}

pub(super) fn user(issuer: &Issuer, dex: &DexPassword) -> Converted {
    let mut warnings = Vec::new();
    let what = format!("password of {}", dex.email);
    let user = StoredUser {
        email: dex.email.clone(),
        hash: dex.hash.clone(),
        username: dex.username.clone(),
        name: dex.name.clone(),
        preferred_username: dex.preferred_username.clone(),
        user_id: dex.user_id.clone(),
        groups: dex.groups.clone(),
        email_verified: dex.email_verified,
    };
    let result = match issuer.stored.local_users() {
        Some(local) if local.is_configured(&dex.email) => Err(IN_FILE.to_owned()),
        Some(local) => local.fingerprint(&user).map(|_| ()),
        None => {
            warnings.push("it can be used when enablePasswordDB is true".to_owned());
            Ok(())
        }
    };
    let result = converted(result, || stored::user_object(&issuer.root, &user));
    Converted { what, result, warnings }
}

pub(super) fn connector(issuer: &Issuer, dex: &DexConnector) -> Converted {
    let what = format!("connector {} ({})", dex.id, dex.kind);
    let stored = StoredConnector {
        id: dex.id.clone(),
        kind: dex.kind.clone(),
        name: dex.name.clone(),
        config: dex.config.clone(),
        grant_types: dex.grant_types.clone(),
    };
    let result = match issuer.connectors.is_configured(&dex.id) {
        true => Err(IN_FILE.to_owned()),
        false => issuer.stored.connectors().build(&stored).map(|_| ()),
    };
    let result = converted(result, || stored::connector_object(&issuer.root, &stored));
    Converted { what, result, warnings: Vec::new() }
}
