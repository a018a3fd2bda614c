//! `/userinfo` (OpenID Connect Core 5.3): access tokens only, and only while their grant lives.

use std::time::Duration;

use countersign_core::{GrantId, Scopes, Secret};
use countersign_jose::{Expected, Typ};
use serde::Serialize;

use crate::token::{ACCESS_TOKEN_TYPE, PersonClaims};
use crate::{Issuer, IssuerError};

/// How far another replica's clock may be behind.
const LEEWAY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct UserInfo<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(flatten)]
    person: PersonClaims<'a>,
}

impl Issuer {
    /// The claims as JSON, from what the upstream said last; `None` is `invalid_token`
    /// (RFC 6750 section 3.1).
    pub async fn userinfo(&self, token: &Secret) -> Result<Option<String>, IssuerError> {
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
        let Some((_, session)) = self.live_grant(&GrantId::new(grant)).await? else {
            return Ok(None);
        };
        let scopes = Scopes::parse(scope);
        let info = UserInfo {
            iss: self.settings.issuer.as_str(),
            sub,
            person: PersonClaims::of(&session, &scopes),
        };
        serde_json::to_string(&info).map(Some).map_err(|e| IssuerError::Broken(e.to_string()))
    }
}
