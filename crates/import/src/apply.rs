//! Writes a plan in one transaction.

use countersign_core::Event;
use countersign_core::event::EventKind;
use countersign_issuer::admin::Administrator;
use countersign_issuer::keyring::seal_signing_key;
use countersign_issuer::{Issuer, IssuerError};
use countersign_store::{Import, ImportSummary, ImportedKey, SigningKeyRow};

use crate::plan::{Keys, Plan};

/// Writes the plan and returns the number of new rows by kind. Repeating it does not change existing rows.
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
