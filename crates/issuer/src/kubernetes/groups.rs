//! The groups endpoint of distributed claims (OpenID Connect Core 1.0 section 5.6.2): an API server requests the
//! current groups with the access token of the claim source, and is refused once the session has ended.

use std::time::Duration;

use countersign_core::{Secret, Timestamp};
use serde::Serialize;

use crate::token::{Audience, GroupsHandle};
use crate::{Issuer, IssuerError};

/// `typ` of the response, so that none of our endpoints accepts it as an ID or access token (RFC 8725 section 3.11).
/// Kubernetes ignores `typ`; without `sub` the response authenticates no user there.
const TYPE: &str = "groups+jwt";
/// Kubernetes uses the response at once and does not keep it.
const LIFETIME: Duration = Duration::from_mins(1);

/// Has no `sub`, `email` or `name`, so it authenticates no user at any relying party.
#[derive(Serialize)]
struct GroupsToken<'a> {
    iss: &'a str,
    aud: &'a Audience,
    exp: i64,
    iat: i64,
    /// Present also when empty: Kubernetes refuses a response without the claim.
    groups: &'a [String],
}

impl Issuer {
    /// The current groups, as a JWT that expires after 60 seconds. `None` is `invalid_token` (RFC 6750 section 3.1):
    /// not signed here, expired, its session has ended, or the upstream no longer knows the user.
    pub async fn groups_token(&self, handle: &Secret) -> Result<Option<String>, IssuerError> {
        let keys = self.keyring.keys();
        let Some(handle) = GroupsHandle::read(handle, &keys.mac) else { return Ok(None) };
        let Some(groups) = self.groups_of_handle(&handle).await? else { return Ok(None) };
        let now = self.now();
        // Not later than the ID token's expiry, which is what is reported when its session is ended.
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
        Ok(Some(signer.sign(Some(TYPE), claims).await?))
    }

    async fn groups_of_handle(
        &self,
        handle: &GroupsHandle,
    ) -> Result<Option<Vec<String>>, IssuerError> {
        if Timestamp::from_secs(handle.exp) <= self.now() {
            return Ok(None);
        }
        let Some((_, session)) = self.live_grant(&handle.grant).await? else { return Ok(None) };
        if !handle.has_groups_scope {
            return Ok(Some(Vec::new()));
        }
        Ok(self.revalidate_and_store(session).await?.map(|session| session.identity.groups))
    }

    /// The groups that an API server receives for a token with these claims.
    pub(super) async fn groups_of(
        &self,
        claims: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<Vec<String>>, IssuerError> {
        let source = claims.get("_claim_sources").and_then(|sources| sources.get("countersign"));
        let handle = source.and_then(|source| source.get("access_token")?.as_str());
        let Some(handle) = handle else { return Ok(None) };
        match GroupsHandle::read(&Secret::new(handle), &self.keyring.keys().mac) {
            Some(handle) => self.groups_of_handle(&handle).await,
            None => Ok(None),
        }
    }
}
