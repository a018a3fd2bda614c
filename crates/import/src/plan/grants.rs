//! Converts Dex's offline sessions and refresh tokens to sessions and grants: one session per user and connector,
//! because Dex stores one set of upstream data for all of that user's clients.

use std::collections::BTreeMap;

use countersign_core::connector::{Fingerprint, RefreshOutcome, RefreshRequest};
use countersign_core::{
    Connector, ConnectorId, Grant, GrantId, Identity, LoginScopes, Secret, Session, SessionId,
    Trace, scopes,
};
use countersign_issuer::{Issuer, IssuerError, stored};
use countersign_jose::hash;
use countersign_store::{ImportedGrant, ImportedSession, ObjectKind};

use super::{Plan, Skipped};
use crate::dex::{DexData, DexOfflineSession, DexRefreshToken};

/// The imported data suffices for all scopes, because Dex requested all of them from the upstream.
const EVERYTHING: LoginScopes = LoginScopes { offline: true, groups: true };
/// The first rotation stores the number of the MAC key. Until then the grant needs none.
const NO_MAC_KEY: i64 = i64::MAX;

type Person = (String, ConnectorId);

pub(super) async fn plan(
    issuer: &Issuer,
    data: &DexData,
    plan: &mut Plan,
) -> Result<(), IssuerError> {
    let offline: BTreeMap<Person, &DexOfflineSession> = data
        .offline_sessions
        .iter()
        .map(|session| ((session.user_id.clone(), session.connector.clone()), session))
        .collect();
    let mut people: BTreeMap<Person, Vec<&DexRefreshToken>> = BTreeMap::new();
    for token in &data.refresh_tokens {
        let person = (token.identity.user_id.clone(), token.connector.clone());
        let what = || format!("refresh token of {} for {}", token.identity.user_id, token.client);
        if !is_current(&offline, &person, token) {
            plan.skipped.push(Skipped::new(what(), "it was revoked or replaced by a later login"));
        } else if issuer.store.imported_token(&token.id).await?.is_some() {
            plan.skipped.push(Skipped::new(what(), "it was taken over before"));
        } else {
            people.entry(person).or_default().push(token);
        }
    }
    let connectors = known_connectors(issuer, plan)?;
    let users = known_users(issuer, plan)?;
    for (person, tokens) in people {
        let upstream = offline.get(&person).map(|session| &session.connector_data);
        let (user_id, connector) = &person;
        let Some(connector) = connectors.get(connector) else {
            let reason = format!("connector {connector} is not configured");
            plan.skipped.push(Skipped::new(of(user_id, &tokens), reason));
            continue;
        };
        match fingerprint(connector, &tokens, &users).await {
            Some(fingerprint) => {
                let session = session(issuer, &tokens, upstream, fingerprint)?;
                let grants = tokens.iter().map(|token| grant(issuer, &session, token));
                let grants = grants.collect::<Result<_, _>>()?;
                plan.sessions.push(ImportedSession { session, grants });
            }
            None => {
                let reason = "the user is neither in the configuration file nor in Dex's storage";
                plan.skipped.push(Skipped::new(of(user_id, &tokens), reason));
            }
        }
    }
    Ok(())
}

fn of(user_id: &str, tokens: &[&DexRefreshToken]) -> String {
    let clients: Vec<&str> = tokens.iter().map(|token| token.client.as_str()).collect();
    format!("refresh tokens of {user_id} for {}", clients.join(", "))
}

/// Whether the token is the one that the offline session names for the client; other rows are leftovers.
fn is_current(
    offline: &BTreeMap<Person, &DexOfflineSession>,
    person: &Person,
    token: &DexRefreshToken,
) -> bool {
    let session = offline.get(person);
    session.and_then(|s| s.tokens.get(token.client.as_str())).is_some_and(|id| *id == token.id)
}

/// The connectors of the configuration file, of our database, and those that this plan adds.
fn known_connectors(
    issuer: &Issuer,
    plan: &Plan,
) -> Result<BTreeMap<ConnectorId, Connector>, IssuerError> {
    let mut connectors = BTreeMap::new();
    for object in plan.objects.iter().filter(|object| object.kind == ObjectKind::Connector) {
        let stored = stored::connector_of(&issuer.root, object)?;
        if let Ok(connector) = issuer.stored.connectors().build(&stored) {
            connectors.insert(connector.id.clone(), connector);
        }
    }
    connectors.extend(issuer.connectors.iter().map(|c| (c.id.clone(), (*c).clone())));
    Ok(connectors)
}

/// The fingerprints of the users that this plan adds, by user id: the connector knows these users only after they are
/// written.
fn known_users(issuer: &Issuer, plan: &Plan) -> Result<BTreeMap<String, String>, IssuerError> {
    let mut fingerprints = BTreeMap::new();
    for object in plan.objects.iter().filter(|object| object.kind == ObjectKind::User) {
        let user = stored::user_of(&issuer.root, object)?;
        let local = issuer.stored.local_users();
        if let Some(fingerprint) = local.and_then(|local| local.fingerprint(&user).ok()) {
            fingerprints.insert(user.user_id, fingerprint);
        }
    }
    Ok(fingerprints)
}

/// The current fingerprint for a session of this user at this connector.
async fn fingerprint(
    connector: &Connector,
    tokens: &[&DexRefreshToken],
    users: &BTreeMap<String, String>,
) -> Option<String> {
    if let Fingerprint::Upstream(fingerprint) = &connector.fingerprint {
        return Some(fingerprint.clone());
    }
    let identity = &tokens.first()?.identity;
    if let Some(fingerprint) = users.get(&identity.user_id) {
        return Some(fingerprint.clone());
    }
    // Sends no request: only local users have fingerprints of their own.
    let request = RefreshRequest {
        identity,
        upstream: None,
        login_scopes: EVERYTHING,
        now: countersign_core::Timestamp::default(),
    };
    let refresh = connector.refresh.as_ref()?;
    match refresh.refresh(request, &mut Trace::default()).await {
        Ok(RefreshOutcome::Current(person)) => person.fingerprint,
        _ => None,
    }
}

fn session(
    issuer: &Issuer,
    tokens: &[&DexRefreshToken],
    upstream: Option<&Secret>,
    fingerprint: String,
) -> Result<Session, IssuerError> {
    let now = issuer.now();
    let latest = tokens.iter().max_by_key(|token| token.last_used.or(token.created_at));
    let identity: Identity = latest.map(|token| token.identity.clone()).unwrap_or_default();
    let connector = latest.map(|token| token.connector.clone()).unwrap_or_default();
    let created = tokens.iter().filter_map(|token| token.created_at).min().unwrap_or(now);
    let seen = latest.and_then(|token| token.last_used).unwrap_or(created);
    // Older versions of Dex stored it in the token's row instead of the offline session.
    let own = tokens.iter().map(|token| &token.connector_data).find(|data| !data.is_empty());
    let upstream = upstream.filter(|data| !data.is_empty()).or(own);
    Ok(Session {
        id: SessionId::random()?,
        connector,
        identity,
        identity_at: seen,
        fingerprint,
        login_scopes: EVERYTHING,
        upstream: issuer.seal_upstream(upstream)?,
        auth_time: created,
        created_at: created,
        last_seen: seen,
        browser_seen: now,
        cookie_until: now,
        ip: String::new(),
        user_agent: "taken over from Dex".to_owned(),
        missing_since: None,
        ended: None,
        blocked_until: None,
    })
}

fn grant(
    issuer: &Issuer,
    session: &Session,
    token: &DexRefreshToken,
) -> Result<ImportedGrant, IssuerError> {
    let now = issuer.now();
    let created_at = token.created_at.unwrap_or(now);
    let openid = std::iter::once(scopes::OPENID.to_owned());
    let requested = token.scopes.iter().filter(|scope| *scope != scopes::OPENID).cloned();
    let grant = Grant {
        id: GrantId::random()?,
        session: session.id.clone(),
        client: token.client.clone(),
        scopes: openid.chain(requested).collect(),
        nonce: (!token.nonce.is_empty()).then(|| token.nonce.clone()),
        auth_time: created_at,
        refreshable: true,
        generation: 0,
        mac_key: NO_MAC_KEY,
        created_at,
        rotated_at: token.last_used.unwrap_or(created_at),
        tokens_until: now + issuer.settings.longest_token_lifetime(),
        ended: None,
    };
    let token_hash = hash::sha256(token.token.expose());
    Ok(ImportedGrant { grant, token_id: token.id.clone(), token_hash })
}
