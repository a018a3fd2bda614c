//! Distributed claims (OpenID Connect Core 1.0 section 5.6.2): the two claims that replace `groups` in a token, and the
//! access token in them for `/kubernetes/groups`.
//!
//! That access token is a signed value like a refresh token, with a purpose of its own: only that endpoint accepts it,
//! and it is not stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::kubernetes::GroupClaims;
use countersign_core::{GrantId, Scopes, Secret, Timestamp, scopes};
use countersign_jose::MacKeys;
use serde::{Deserialize, Serialize};

use super::Audience;
use super::refresh_token::canonical_number;
use crate::{Issuer, IssuerError};

const PURPOSE: &str = "kubernetes groups";

/// The claims `_claim_names` and `_claim_sources`.
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

/// The content of the access token of a distributed claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupsHandle {
    #[serde(rename = "g")]
    pub grant: GrantId,
    #[serde(rename = "a")]
    pub audience: Audience,
    /// Whether the scope `groups` was granted; without it the endpoint returns an empty list.
    #[serde(rename = "t")]
    pub has_groups_scope: bool,
    /// Expiry of the ID token, in seconds since the epoch.
    #[serde(rename = "e")]
    pub exp: i64,
}

impl GroupsHandle {
    /// `<key>.<payload>.<mac>`.
    fn sign(&self, keys: &MacKeys) -> Result<String, IssuerError> {
        let json = serde_json::to_vec(self).map_err(|e| IssuerError::Broken(e.to_string()))?;
        let body = URL_SAFE_NO_PAD.encode(json);
        let (key, mac) = keys.sign(PURPOSE, &body);
        Ok(format!("{key}.{body}.{mac}"))
    }

    /// `None` if the value was not signed here.
    pub fn read(text: &Secret, keys: &MacKeys) -> Option<Self> {
        let mut parts = text.expose().splitn(3, '.');
        let (key, body, mac) = (parts.next()?, parts.next()?, parts.next()?);
        if !keys.verify(canonical_number(key)?, PURPOSE, body, mac) {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
    }
}

impl Issuer {
    /// The distributed claims of a token for this audience; `None`: its groups are in the token itself.
    ///
    /// One audience with distributed groups is sufficient, because its API server would also accept a list in the
    /// token. Tokens without the scope `groups` have the claims as well, so that the API server is refused once a
    /// session has ended.
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
        let handle = GroupsHandle {
            grant: grant.clone(),
            audience: audience.clone(),
            has_groups_scope: granted.has(scopes::GROUPS),
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
}

#[cfg(test)]
mod tests {
    use super::GroupsHandle;
    use crate::token::Audience;
    use countersign_core::{ClientId, GrantId, Secret};
    use countersign_jose::MacKeys;

    fn keys() -> MacKeys {
        MacKeys::new(vec![(1, MacKeys::generate().unwrap()), (2, MacKeys::generate().unwrap())])
            .unwrap()
    }

    fn handle() -> GroupsHandle {
        GroupsHandle {
            grant: GrantId::random().unwrap(),
            audience: Audience::One(ClientId::new("kubernetes")),
            has_groups_scope: true,
            exp: 1_800_000_000,
        }
    }

    #[test]
    fn a_handle_reads_back_what_was_signed_and_is_short() {
        let (keys, claims) = (keys(), handle());
        let text = claims.sign(&keys).unwrap();
        assert_eq!(GroupsHandle::read(&Secret::new(text.clone()), &keys), Some(claims));
        assert!(text.len() < 200, "{}", text.len());
    }

    #[test]
    fn any_change_of_a_handle_is_noticed() {
        let (keys, claims) = (keys(), handle());
        let text = claims.sign(&keys).unwrap();
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
            assert_eq!(GroupsHandle::read(&Secret::new(changed.clone()), &keys), None, "{changed}");
        }
    }
}
