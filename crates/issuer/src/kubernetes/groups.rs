//! Distributed groups (OpenID Connect Core 1.0 section 5.6.2): the token says where to ask instead of
//! listing them, so it stays small, the groups are today's, and an ended session has none to tell.
//!
//! What to ask with is a signed statement like a refresh token, under a purpose of its own: it opens
//! this endpoint and nothing else, and nothing of it is stored.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::kubernetes::GroupClaims;
use countersign_core::{GrantId, Scopes, Secret, Timestamp, scopes};
use countersign_jose::MacKeys;
use serde::{Deserialize, Serialize};

use crate::keyring::run_blocking;
use crate::token::{Audience, canonical_number};
use crate::{Issuer, IssuerError};

/// `typ` of the answer, so that no room of ours takes it for an ID or an access token (RFC 8725
/// section 3.11). Kubernetes looks at no `typ`; for it the answer is nobody's, having no `sub`.
const TYPE: &str = "groups+jwt";
const PURPOSE: &str = "kubernetes groups";
/// Kubernetes uses the answer at once and forgets it.
const LIFETIME: Duration = Duration::from_secs(60);

/// The two claims that stand in a token in the place of `groups`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DistributedClaims {
    #[serde(rename = "_claim_names")]
    names: ClaimNames,
    #[serde(rename = "_claim_sources")]
    sources: ClaimSources,
}

#[derive(Clone, Debug, Serialize)]
struct ClaimNames {
    /// The name of the one field of [`ClaimSources`].
    groups: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct ClaimSources {
    countersign: Source,
}

#[derive(Clone, Serialize)]
struct Source {
    endpoint: String,
    access_token: String,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({})", self.endpoint)
    }
}

/// What one token lets its bearer ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Handle {
    #[serde(rename = "g")]
    grant: GrantId,
    #[serde(rename = "a")]
    audience: Audience,
    /// Whether scope `groups` was granted; without it the answer is that there are none.
    #[serde(rename = "t")]
    told: bool,
    /// As the token itself, in seconds.
    #[serde(rename = "e")]
    exp: i64,
}

impl Handle {
    /// `<key>.<what it says>.<mac>`.
    fn sign(&self, keys: &MacKeys) -> Result<String, IssuerError> {
        let json = serde_json::to_vec(self).map_err(|e| IssuerError::Broken(e.to_string()))?;
        let body = URL_SAFE_NO_PAD.encode(json);
        let (key, mac) = keys.sign(PURPOSE, &body);
        Ok(format!("{key}.{body}.{mac}"))
    }

    /// `None` for anything we did not say.
    fn read(text: &Secret, keys: &MacKeys) -> Option<Self> {
        let mut parts = text.expose().splitn(3, '.');
        let (key, body, mac) = (parts.next()?, parts.next()?, parts.next()?);
        if !keys.verify(canonical_number(key)?, PURPOSE, body, mac) {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
    }
}

/// No `sub`, `email` or `name`: who holds this is nobody, wherever they show it.
#[derive(Serialize)]
struct GroupsToken<'a> {
    iss: &'a str,
    aud: &'a Audience,
    exp: i64,
    iat: i64,
    /// Never left out: Kubernetes refuses an answer without the claim it asked for.
    groups: &'a [String],
}

impl Issuer {
    /// Where the groups of a token are that is about to be made for this audience; `None`: in it.
    ///
    /// One audience with distributed groups is enough, since its cluster would read any list. Whether
    /// they may be told makes no difference here: also of a token that tells none, a cluster shall
    /// learn that its session has ended.
    pub(crate) fn distributed_claims(
        &self,
        grant: &GrantId,
        audience: &Audience,
        granted: &Scopes,
        until: Timestamp,
    ) -> Result<Option<DistributedClaims>, IssuerError> {
        let mut clients = audience.iter().filter_map(|id| self.clients.get(id));
        let distributed = clients.any(|client| {
            let cluster = client.kubernetes.as_ref();
            cluster.is_some_and(|cluster| cluster.groups == GroupClaims::Distributed)
        });
        if !distributed {
            return Ok(None);
        }
        let handle = Handle {
            grant: grant.clone(),
            audience: audience.clone(),
            told: granted.has(scopes::GROUPS),
            exp: until.secs(),
        };
        let source = Source {
            endpoint: self.settings.issuer.endpoint("/kubernetes/groups"),
            access_token: handle.sign(&self.keyring.keys().mac_settled)?,
        };
        Ok(Some(DistributedClaims {
            names: ClaimNames { groups: "countersign" },
            sources: ClaimSources { countersign: source },
        }))
    }

    /// The groups of the person whose token held this, as a JWT that lives 60 seconds. `None` is
    /// `invalid_token` (RFC 6750 section 3.1): not ours, over, ended, or the upstream does not know the
    /// person any more.
    pub async fn groups_token(&self, handle: &Secret) -> Result<Option<String>, IssuerError> {
        let keys = self.keyring.keys();
        let Some(handle) = Handle::read(handle, &keys.mac) else { return Ok(None) };
        let Some(groups) = self.groups_behind(&handle).await? else { return Ok(None) };
        let now = self.now();
        // Not beyond the token it is asked for: at an end we name the instant of its death.
        let exp = (now + LIFETIME).secs().min(handle.exp);
        let claims = GroupsToken {
            iss: self.settings.issuer.as_str(),
            aud: &handle.audience,
            exp,
            iat: now.secs(),
            groups: &groups,
        };
        let claims = crate::token::json(&claims)?;
        let signer = keys.signer(now)?;
        Ok(Some(run_blocking(move || signer.sign(Some(TYPE), &claims)).await??))
    }

    async fn groups_behind(&self, handle: &Handle) -> Result<Option<Vec<String>>, IssuerError> {
        if Timestamp::from_secs(handle.exp) <= self.now() {
            return Ok(None);
        }
        let Some((_, session)) = self.live_grant(&handle.grant).await? else { return Ok(None) };
        if !handle.told {
            return Ok(Some(Vec::new()));
        }
        Ok(self.revalidate_and_store(session).await?.map(|session| session.identity.groups))
    }

    /// What Kubernetes would read from a token with these claims, asked here and not over the wire.
    pub(super) async fn groups_of(
        &self,
        claims: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<Vec<String>>, IssuerError> {
        let source = claims.get("_claim_sources").and_then(|sources| sources.get("countersign"));
        let handle = source.and_then(|source| source.get("access_token")?.as_str());
        let Some(handle) = handle else { return Ok(None) };
        match Handle::read(&Secret::new(handle), &self.keyring.keys().mac) {
            Some(handle) => self.groups_behind(&handle).await,
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Handle;
    use crate::token::Audience;
    use countersign_core::{ClientId, GrantId, Secret};
    use countersign_jose::MacKeys;

    fn keys() -> MacKeys {
        MacKeys::new(vec![(1, MacKeys::generate().unwrap()), (2, MacKeys::generate().unwrap())])
            .unwrap()
    }

    fn handle() -> Handle {
        Handle {
            grant: GrantId::random().unwrap(),
            audience: Audience::One(ClientId::new("kubernetes")),
            told: true,
            exp: 1_800_000_000,
        }
    }

    #[test]
    fn a_handle_says_what_was_signed_and_is_short() {
        let (keys, said) = (keys(), handle());
        let text = said.sign(&keys).unwrap();
        assert_eq!(Handle::read(&Secret::new(text.clone()), &keys), Some(said));
        assert!(text.len() < 200, "{}", text.len());
    }

    #[test]
    fn any_change_of_a_handle_is_noticed() {
        let (keys, said) = (keys(), handle());
        let text = said.sign(&keys).unwrap();
        let another = handle().sign(&keys).unwrap();
        let (_, mac) = text.rsplit_once('.').unwrap();
        let (body_of_another, _) = another.rsplit_once('.').unwrap();
        for changed in [
            format!("{body_of_another}.{mac}"),
            text.replacen("2.", "1.", 1),
            text.replacen("2.", "+2.", 1),
            format!("{text}A"),
            format!("{text}."),
            text.replace('.', ""),
            String::new(),
        ] {
            assert_eq!(Handle::read(&Secret::new(changed.clone()), &keys), None, "{changed}");
        }
    }
}
