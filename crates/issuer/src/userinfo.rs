//! `/userinfo` (OpenID Connect Core 5.3): accepts only access tokens whose grant is live.

use std::time::Duration;

use countersign_core::identity::pair_of;
use countersign_core::{ConnectorId, GrantId, Scopes, Secret, Session};
use countersign_jose::{Expected, Typ};
use serde::Serialize;

use crate::token::{ACCESS_TOKEN_TYPE, PersonClaims};
use crate::{Issuer, IssuerError};

/// Tolerated clock difference between replicas, when one verifies an access token that another has issued.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct UserInfo<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(flatten)]
    person: PersonClaims<'a>,
}

/// An access token of a live grant, and its session.
pub(crate) struct AccessTokenSession {
    pub sub: String,
    pub scopes: Scopes,
    pub session: Session,
}

impl Issuer {
    /// The claims as JSON, from the stored identity; `None` is `invalid_token` (RFC 6750 section 3.1).
    pub async fn userinfo(&self, token: &Secret) -> Result<Option<String>, IssuerError> {
        let Some(found) = self.access_token_session(token).await? else {
            return self.userinfo_of_imported(token).await;
        };
        let info = UserInfo {
            iss: self.settings.issuer.as_str(),
            sub: &found.sub,
            person: PersonClaims::of(&found.session, &found.scopes),
        };
        serde_json::to_string(&info).map(Some).map_err(|e| IssuerError::Broken(e.to_string()))
    }

    /// `None` for anything but our own access token of a live grant.
    pub(crate) async fn access_token_session(
        &self,
        token: &Secret,
    ) -> Result<Option<AccessTokenSession>, IssuerError> {
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::Exactly(ACCESS_TOKEN_TYPE),
            now: Some(self.now()),
            leeway: LEEWAY,
        };
        let claims = match self.keyring.keys().verifiers.verify(token.expose(), &expected) {
            Ok(claims) => claims,
            Err(refused) => {
                tracing::info!(reason = %refused, "an access token was refused");
                return Ok(None);
            }
        };
        let (Some(grant), Some(sub), Some(scope)) =
            (claims.text("grant_id"), claims.text("sub"), claims.text("scope"))
        else {
            return Ok(None);
        };
        let live = self.live_grant(&GrantId::new(grant)).await?;
        Ok(live.map(|(_, session)| AccessTokenSession {
            sub: sub.to_owned(),
            scopes: Scopes::parse(scope),
            session,
        }))
    }

    /// For an access token that Dex issued before the import: its own claims, as in Dex, unless the imported session
    /// has ended since.
    async fn userinfo_of_imported(&self, token: &Secret) -> Result<Option<String>, IssuerError> {
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::IdToken,
            now: Some(self.now()),
            leeway: LEEWAY,
        };
        let claims = self.keyring.keys().verify_imported(token.expose(), &expected);
        let Some(claims) = claims else { return Ok(None) };
        let Some((user_id, connector)) = claims.text("sub").and_then(pair_of) else {
            return Ok(None);
        };
        let audience = claims.texts("aud");
        let client = claims.text("azp").or(audience.first().copied()).unwrap_or_default();
        let connector = ConnectorId::new(connector);
        let blocked = self.store.blocked_user(&connector, &user_id, self.now()).await?.is_some();
        if blocked || self.connectors.get(&connector).is_none() {
            return Ok(None);
        }
        if self.store.imported_session_ended(&user_id, &connector, client).await? {
            return Ok(None);
        }
        let claims = claims.into_map();
        serde_json::to_string(&claims).map(Some).map_err(|e| IssuerError::Broken(e.to_string()))
    }
}
