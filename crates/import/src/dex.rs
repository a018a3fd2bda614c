//! The objects in Dex's storage, and how they are parsed from records.
//!
//! Not imported, because they expire within minutes or belong to unsupported features: authorization requests, codes,
//! device requests, browser sessions, second factors. They are only counted.

use std::collections::BTreeMap;

use countersign_core::{ClientId, ConnectorId, Identity, Secret, Timestamp};
use serde_json::Value;

use crate::record::{Record, time};

/// The objects read from one storage.
#[derive(Default)]
pub struct DexData {
    /// Such as `SQL tables of Dex (migration 13)`.
    pub source: String,
    pub clients: Vec<DexClient>,
    pub passwords: Vec<DexPassword>,
    pub connectors: Vec<DexConnector>,
    pub keys: DexKeys,
    pub refresh_tokens: Vec<DexRefreshToken>,
    pub offline_sessions: Vec<DexOfflineSession>,
    pub consents: Vec<DexConsent>,
    /// Number of objects that are not imported, by kind.
    pub left_behind: BTreeMap<String, usize>,
    /// Objects that could not be parsed.
    pub unreadable: Vec<String>,
}

pub struct DexClient {
    pub id: ClientId,
    pub secret: Secret,
    pub name: String,
    pub logo_url: String,
    pub redirect_uris: Vec<String>,
    pub trusted_peers: Vec<ClientId>,
    pub public: bool,
    pub allowed_connectors: Vec<ConnectorId>,
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: String,
    /// `session`, `standalone` or empty.
    pub refresh_token_lifetime: String,
    /// The client requires a second factor, which is not supported.
    pub needs_mfa: bool,
}

pub struct DexPassword {
    pub email: String,
    /// bcrypt.
    pub hash: Secret,
    pub username: String,
    pub name: String,
    pub preferred_username: String,
    pub user_id: String,
    pub groups: Vec<String>,
    pub email_verified: bool,
}

pub struct DexConnector {
    pub id: ConnectorId,
    pub kind: String,
    pub name: String,
    /// JSON; contains secrets.
    pub config: Secret,
    pub grant_types: Vec<String>,
}

#[derive(Default)]
pub struct DexKeys {
    /// Private JWK.
    pub signing: Option<Secret>,
    /// Public JWKs of retired keys, each with the instant after which none of its tokens is valid.
    pub retired: Vec<(String, Timestamp)>,
}

pub struct DexRefreshToken {
    pub id: String,
    pub token: Secret,
    pub client: ClientId,
    pub connector: ConnectorId,
    pub identity: Identity,
    pub scopes: Vec<String>,
    pub nonce: String,
    /// The connector's data for refreshes; usually empty, because it is stored in the offline session.
    pub connector_data: Secret,
    pub created_at: Option<Timestamp>,
    pub last_used: Option<Timestamp>,
}

pub struct DexOfflineSession {
    pub user_id: String,
    pub connector: ConnectorId,
    /// Id of the refresh token of each client.
    pub tokens: BTreeMap<String, String>,
    pub connector_data: Secret,
}

pub struct DexConsent {
    pub user_id: String,
    pub connector: ConnectorId,
    pub client: ClientId,
    pub scopes: Vec<String>,
}

/// Kinds of objects, named like the SQL tables.
pub(crate) const KINDS: [&str; 7] = [
    "client",
    "password",
    "connector",
    "keys",
    "refresh_token",
    "offline_session",
    "user_identity",
];

impl DexData {
    pub(crate) fn add(&mut self, kind: &str, record: &Record) {
        match kind {
            "client" => self.clients.push(client(record)),
            "password" => self.passwords.push(password(record)),
            "connector" => match connector(record) {
                Some(connector) => self.connectors.push(connector),
                None => self.unreadable.push(format!("connector {}", record.text("id"))),
            },
            "keys" => self.keys = keys(record),
            "refresh_token" => self.refresh_tokens.push(refresh_token(record)),
            "offline_session" => self.offline_sessions.push(offline_session(record)),
            "user_identity" => {
                self.consents.extend(consents(record));
                if !record.object("mfasecrets").is_empty() {
                    *self.left_behind.entry("second factors".to_owned()).or_default() += 1;
                }
            }
            other => *self.left_behind.entry(other.to_owned()).or_default() += 1,
        }
    }

    /// Whether no objects were found.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.passwords.is_empty()
            && self.connectors.is_empty()
            && self.keys.signing.is_none()
            && self.refresh_tokens.is_empty()
            && self.offline_sessions.is_empty()
    }
}

fn client(record: &Record) -> DexClient {
    let ids = |name| record.list(name).into_iter();
    DexClient {
        id: ClientId::new(record.text("id")),
        secret: record.secret("secret"),
        name: record.text("name"),
        logo_url: record.text("logourl"),
        redirect_uris: record.list("redirecturis"),
        trusted_peers: ids("trustedpeers").map(ClientId::new).collect(),
        public: record.flag("public").unwrap_or(false),
        allowed_connectors: ids("allowedconnectors").map(ConnectorId::new).collect(),
        post_logout_redirect_uris: record.list("postlogoutredirecturis"),
        backchannel_logout_uri: record.text("backchannellogouturi"),
        refresh_token_lifetime: record.text("refreshtokenlifetime"),
        needs_mfa: !record.list("mfachain").is_empty(),
    }
}

fn password(record: &Record) -> DexPassword {
    DexPassword {
        email: record.text("email"),
        hash: record.bytes("hash").unwrap_or_default(),
        username: record.text("username"),
        name: record.text("name"),
        preferred_username: record.text("preferredusername"),
        user_id: record.text("userid"),
        groups: record.list("groups"),
        email_verified: record.flag("emailverified").unwrap_or(true),
    }
}

/// In etcd the configuration is stored in the field `email`, a historical mistake of Dex.
fn connector(record: &Record) -> Option<DexConnector> {
    let config = record.bytes("config").filter(|config| !config.is_empty());
    Some(DexConnector {
        id: ConnectorId::new(record.text("id")),
        kind: record.text("type"),
        name: record.text("name"),
        config: match config {
            Some(config) => config,
            None => record.bytes("email")?,
        },
        grant_types: record.list("granttypes"),
    })
}

fn keys(record: &Record) -> DexKeys {
    let signing = record.object("signingkey");
    let retired = record.items("verificationkeys");
    DexKeys {
        signing: (!signing.is_empty()).then(|| Secret::new(Value::Object(signing).to_string())),
        retired: retired.iter().filter_map(retired_key).collect(),
    }
}

fn retired_key(key: &Value) -> Option<(String, Timestamp)> {
    let public = key.get("publicKey")?;
    let expiry = key.get("expiry").and_then(Value::as_str).and_then(time)?;
    Some((public.to_string(), expiry))
}

fn refresh_token(record: &Record) -> DexRefreshToken {
    DexRefreshToken {
        id: record.text("id"),
        token: record.secret("token"),
        client: ClientId::new(record.text("clientid")),
        connector: ConnectorId::new(record.text("connectorid")),
        identity: Identity {
            user_id: record.text("claimsuserid"),
            username: record.text("claimsusername"),
            preferred_username: record.text("claimspreferredusername"),
            email: record.text("claimsemail"),
            email_verified: record.flag("claimsemailverified").unwrap_or(false),
            groups: record.list("claimsgroups"),
        },
        scopes: record.list("scopes"),
        nonce: record.text("nonce"),
        connector_data: record.bytes("connectordata").unwrap_or_default(),
        created_at: record.time("createdat"),
        last_used: record.time("lastused"),
    }
}

fn offline_session(record: &Record) -> DexOfflineSession {
    let id = |token: &Value| token.get("ID").and_then(Value::as_str).map(str::to_owned);
    let tokens = record.object("refresh").into_iter();
    DexOfflineSession {
        user_id: record.text("userid"),
        connector: ConnectorId::new(record.text("connid")),
        tokens: tokens.filter_map(|(client, token)| Some((client, id(&token)?))).collect(),
        connector_data: record.bytes("connectordata").unwrap_or_default(),
    }
}

fn consents(record: &Record) -> Vec<DexConsent> {
    let texts = |scopes: &Value| -> Vec<String> {
        let items = scopes.as_array().into_iter().flatten();
        items.filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
    };
    let consents = record.object("consents").into_iter();
    let connector = ConnectorId::new(record.text("connectorid"));
    consents
        .map(|(client, scopes)| DexConsent {
            user_id: record.text("userid"),
            connector: connector.clone(),
            client: ClientId::new(client),
            scopes: texts(&scopes),
        })
        .collect()
}
