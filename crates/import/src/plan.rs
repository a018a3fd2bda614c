//! Decides how each object of Dex is imported, reports that, and writes it. No upstream is contacted; that happens at the
//! client's next refresh.

mod convert;
mod grants;

use std::fmt::Write as _;

use countersign_core::Event;
use countersign_core::event::EventKind;
use countersign_issuer::admin::Administrator;
use countersign_issuer::keyring::seal_signing_key;
use countersign_issuer::{Issuer, IssuerError};
use countersign_store::{
    Import, ImportSummary, ImportedConsent, ImportedKey, ImportedSession, SigningKeyRow,
    StoredObject,
};

use crate::dex::DexData;
use convert::{ConversionError, Converted, client, connector, user};

/// What will be written, and what will not and why.
pub struct Plan {
    pub source: String,
    pub objects: Vec<StoredObject>,
    pub keys: Keys,
    pub sessions: Vec<ImportedSession>,
    pub consents: Vec<ImportedConsent>,
    /// Objects that already exist or cannot be imported, each with the reason.
    pub skipped: Vec<Skipped>,
    /// Imported objects that need attention.
    pub warnings: Vec<String>,
    /// Number of objects in Dex, by kind.
    pub found: Vec<(&'static str, usize)>,
    /// Objects that are never imported, such as pending logins.
    pub left_behind: Vec<(String, usize)>,
}

#[derive(Default)]
pub struct Keys {
    pub signing: Option<countersign_jose::KeyPair>,
    /// Public JWK and key id of each key of Dex, with the instant until which it is needed.
    pub verifying: Vec<VerifyingKey>,
}

pub struct VerifyingKey {
    pub kid: String,
    pub public_jwk: String,
    pub expires_at: countersign_core::Timestamp,
}

pub struct Skipped {
    /// Kind and id, such as `client web`.
    pub what: String,
    pub reason: String,
}

impl Skipped {
    fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }
}

impl Plan {
    /// Number of new rows by kind, if nothing changes before the plan is written.
    pub fn summary(&self) -> ImportSummary {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let live = |session: &&ImportedSession| !session.grants.is_empty();
        ImportSummary {
            objects: count(self.objects.len()),
            signing_keys: u64::from(self.keys.signing.is_some()),
            keys: count(self.keys.verifying.len()),
            sessions: count(self.sessions.iter().filter(live).count()),
            grants: count(self.sessions.iter().map(|session| session.grants.len()).sum()),
            consents: count(self.consents.len()),
        }
    }
}

/// Makes the plan. Reads our database to find existing objects; writes nothing.
pub async fn plan(issuer: &Issuer, data: DexData) -> Result<Plan, IssuerError> {
    let mut plan = Plan {
        source: data.source.clone(),
        objects: Vec::new(),
        keys: Keys::default(),
        sessions: Vec::new(),
        consents: Vec::new(),
        skipped: data
            .unreadable
            .iter()
            .map(|what| Skipped::new(what, "it cannot be read"))
            .collect(),
        warnings: Vec::new(),
        found: vec![
            ("clients", data.clients.len()),
            ("passwords", data.passwords.len()),
            ("connectors", data.connectors.len()),
            ("refresh tokens", data.refresh_tokens.len()),
            ("consents", data.consents.len()),
        ],
        left_behind: data.left_behind.iter().map(|(kind, count)| (kind.clone(), *count)).collect(),
    };
    plan_objects(issuer, &data, &mut plan).await?;
    plan_keys(issuer, &data, &mut plan);
    grants::plan(issuer, &data, &mut plan).await?;
    for consent in &data.consents {
        plan.consents.push(ImportedConsent {
            user_id: consent.user_id.clone(),
            connector: consent.connector.clone(),
            client: consent.client.clone(),
            scopes: consent.scopes.iter().cloned().collect(),
        });
    }
    Ok(plan)
}

async fn plan_objects(issuer: &Issuer, data: &DexData, plan: &mut Plan) -> Result<(), IssuerError> {
    let present = issuer.store.stored_objects().await?;
    let mut converted: Vec<Converted> = Vec::new();
    converted.extend(data.connectors.iter().map(|dex| connector(issuer, dex)));
    converted.extend(data.clients.iter().map(|dex| client(issuer, dex)));
    converted.extend(data.passwords.iter().map(|dex| user(issuer, dex)));
    for Converted { what, result, warnings } in converted {
        let object = match result {
            Ok(object) => object,
            Err(ConversionError::Skipped(reason)) => {
                plan.skipped.push(Skipped::new(what, reason));
                continue;
            }
            Err(ConversionError::Failed(error)) => return Err(error),
        };
        plan.warnings.extend(warnings.iter().map(|warning| format!("{what}: {warning}")));
        let is_there = |other: &StoredObject| other.kind == object.kind && other.id == object.id;
        match present.iter().any(is_there) {
            true => plan.skipped.push(Skipped::new(what, "it was taken over before")),
            false => plan.objects.push(object),
        }
    }
    Ok(())
}

fn plan_keys(issuer: &Issuer, data: &DexData, plan: &mut Plan) {
    let now = issuer.now();
    // Tokens that Dex has just signed are valid for the configured lifetime, and at least for Dex's default.
    let day = std::time::Duration::from_hours(24);
    let lifetime = issuer.settings.longest_token_lifetime().max(day);
    if let Some(private) = &data.keys.signing {
        match countersign_jose::KeyPair::from_private_jwk(private) {
            Ok(pair) => {
                plan.keys.verifying.push(VerifyingKey {
                    kid: pair.kid.clone(),
                    public_jwk: pair.public_jwk.clone(),
                    expires_at: now + lifetime,
                });
                plan.keys.signing = Some(pair);
            }
            Err(error) => plan.skipped.push(Skipped::new("the signing key", error.to_string())),
        }
    } else {
        let reason = "there is none; with signer.type vault it is not in Dex's storage";
        plan.skipped.push(Skipped::new("the signing key", reason));
    }
    for (jwk, expires_at) in &data.keys.retired {
        if *expires_at <= now {
            continue;
        }
        match countersign_jose::usable_public_jwk(jwk) {
            Ok((kid, public_jwk)) => {
                let expires_at = *expires_at;
                plan.keys.verifying.push(VerifyingKey { kid, public_jwk, expires_at });
            }
            Err(error) => plan.skipped.push(Skipped::new("a retired key", error.to_string())),
        }
    }
}

/// What an import would do. Contains ids and addresses, but no secret.
pub fn describe(plan: &Plan) -> String {
    let mut text = format!("Found {}:", plan.source);
    let found = plan.found.iter().map(|(kind, count)| format!(" {count} {kind}"));
    text.push_str(&found.collect::<Vec<_>>().join(","));
    text.push_str(".\n\nTo take over:\n");
    text.push_str(&summary_lines(&plan.summary()));
    for session in &plan.sessions {
        let session_of = &session.session;
        let clients: Vec<&str> = session.grants.iter().map(|g| g.grant.client.as_str()).collect();
        let (user, connector) = (session_of.identity.display_name(), &session_of.connector);
        let _written = writeln!(text, "    {user} at {connector}: {}", clients.join(", "));
    }
    section(&mut text, "To note:", plan.warnings.iter().cloned());
    let skipped =
        plan.skipped.iter().map(|skipped| format!("{}: {}", skipped.what, skipped.reason));
    section(&mut text, "Not taken over:", skipped);
    let left = plan.left_behind.iter().map(|(kind, count)| format!("{count} {kind}"));
    section(&mut text, "Left behind, because it is over within minutes or not supported:", left);
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        if index == 0 {
            let _written = writeln!(text, "\n{title}");
        }
        let _written = writeln!(text, "  {line}");
    }
}

/// A line per kind with a non-zero count.
pub fn summary_lines(summary: &ImportSummary) -> String {
    let counts = [
        (summary.signing_keys, "signing key, which signs on until its next rotation"),
        (summary.keys, "keys that verify tokens issued by Dex"),
        (summary.objects, "clients, passwords and connectors"),
        (summary.sessions, "people with refresh tokens"),
        (summary.grants, "refresh tokens"),
        (summary.consents, "consents"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let text: String = counts.map(|(count, what)| format!("  {count} {what}\n")).collect();
    if text.is_empty() { "  nothing\n".to_owned() } else { text }
}

/// Writes the plan in one transaction and returns the number of new rows by kind. Repeating it does not change existing
/// rows.
pub async fn apply(
    issuer: &Issuer,
    who: &Administrator,
    plan: Plan,
) -> Result<ImportSummary, IssuerError> {
    let now = issuer.now();
    let mut event = Event::new(now, EventKind::DexImported, who.actor());
    let expected = plan.summary();
    event.details = serde_json::json!({
        "source": plan.source,
        "objects": expected.objects,
        "grants": expected.grants,
    });
    let Keys { signing, verifying } = plan.keys;
    let signing_key = match signing {
        Some(pair) => Some(SigningKeyRow {
            number: 0,
            kid: pair.kid,
            algorithm: pair.algorithm.as_str().to_owned(),
            public_jwk: pair.public_jwk,
            private_key: seal_signing_key(&issuer.root, &pair.private_key)?,
            created_at: now,
            signs_from: now,
            longest_lifetime: issuer.settings.longest_token_lifetime(),
            access_tokens_only: false,
            // With signer.type vault Dex signed with the key in Vault, which goes on signing here.
            superseded_at: issuer.settings.external_signer.as_ref().map(|_| now),
        }),
        None => None,
    };
    let keys = verifying.into_iter().map(|key| ImportedKey {
        kid: key.kid,
        public_jwk: key.public_jwk,
        imported_at: now,
        expires_at: key.expires_at,
    });
    let import = Import {
        objects: plan.objects,
        signing_key,
        keys: keys.collect(),
        sessions: plan.sessions,
        consents: plan.consents,
        event,
    };
    Ok(issuer.store.import(import).await?)
}
