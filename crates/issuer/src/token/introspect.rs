//! Introspection (RFC 7662) and revocation (RFC 7009) of a client's tokens.

use countersign_core::identity::subject;
use countersign_core::session::{EndReason, Ended};
use countersign_core::{Client, ClientId, Grant, GrantId, Scopes, Secret, Session, Timestamp};
use countersign_jose::{Claims, Expected, Typ};
use serde::Serialize;

use super::refresh_token::RefreshTokenClaims;
use super::{ACCESS_TOKEN_TYPE, PersonClaims};
use crate::{Issuer, IssuerError};

/// RFC 7662 section 2.2. If `active` is false there is no other member.
#[derive(Debug, Default, Serialize)]
pub struct Introspection {
    active: bool,
    #[serde(flatten)]
    about: Option<About>,
}

#[derive(Debug, Serialize)]
struct About {
    scope: String,
    client_id: ClientId,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    token_type: &'static str,
    token_use: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    sub: String,
    aud: Vec<ClientId>,
    iss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// `None` for a client's own token, which has no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// Dex's extra claims (`ext`); Dovecot and Go clients read the user's claims from there.
    ext: Ext,
}

/// Only the claims covered by the token's scope.
#[derive(Debug, Serialize)]
struct Ext {
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(flatten)]
    person: serde_json::Value,
}

impl Issuer {
    /// `active` is false unless the token was issued to the caller or has it in `aud`, and its grant is live (section
    /// 2.2).
    pub async fn introspect(
        &self,
        caller: &Client,
        token: &Secret,
    ) -> Result<Introspection, IssuerError> {
        let claims = self.access_token(token);
        let own = claims.as_ref().and_then(|claims| self.about_own_token(caller, claims));
        if own.is_some() {
            return Ok(Introspection { active: true, about: own });
        }
        let refresh_token = match claims {
            Some(_) => None,
            None => self.read_refresh_token(token).await?,
        };
        let of_access_token = || claims.as_ref()?.text("grant_id").map(GrantId::new);
        let of_refresh_token = refresh_token.as_ref().map(|token| token.grant.clone());
        let Some(id) = of_refresh_token.or_else(of_access_token) else {
            return Ok(Introspection::default());
        };
        let Some((grant, session)) = self.store.grant(&id).await? else {
            return Ok(Introspection::default());
        };
        let named = claims.as_ref().is_some_and(|claims| claims.is_for(caller.id.as_str()));
        let Some(owner) = self.clients.get(&grant.client) else {
            return Ok(Introspection::default());
        };
        let is_audience = grant.client == caller.id || named;
        if !is_audience || grant.ended.is_some() || !self.is_valid(Some(&owner), &session).await? {
            return Ok(Introspection::default());
        }
        let about = match claims {
            Some(claims) => Some(self.about_access_token(&claims, &grant, &session)),
            None => refresh_token
                .and_then(|token| self.about_refresh_token(&owner, &token, &grant, &session)),
        };
        Ok(Introspection { active: about.is_some(), about })
    }

    /// For a client's own access token (`client_credentials`), which has neither grant nor session.
    fn about_own_token(&self, caller: &Client, claims: &Claims) -> Option<About> {
        let owner = self.client_of_own_token(claims)?;
        if owner.id != caller.id && !claims.is_for(caller.id.as_str()) {
            return None;
        }
        let person = ["groups", "name"].into_iter();
        let person = person.filter_map(|name| Some((name.to_owned(), claims.get(name)?.clone())));
        Some(About {
            scope: claims.text("scope").unwrap_or_default().to_owned(),
            client_id: owner.id.clone(),
            username: String::new(),
            token_type: "Bearer",
            token_use: "access_token",
            exp: claims.number("exp"),
            iat: claims.number("iat").unwrap_or_default(),
            sub: claims.text("sub").unwrap_or_default().to_owned(),
            aud: claims.texts("aud").into_iter().map(ClientId::new).collect(),
            iss: self.settings.issuer.as_str().to_owned(),
            jti: claims.text("jti").map(str::to_owned),
            sid: None,
            ext: Ext {
                azp: claims.text("azp").map(ClientId::new),
                sid: None,
                person: serde_json::Value::Object(person.collect()),
            },
        })
    }

    /// The grant that an access or refresh token belongs to; the grant may have ended.
    pub(super) async fn grant_named_by(
        &self,
        token: &Secret,
    ) -> Result<Option<GrantId>, IssuerError> {
        let refresh_token = self.read_refresh_token(token).await?;
        let by_refresh_token = refresh_token.map(|refresh_token| refresh_token.grant);
        Ok(by_refresh_token.or_else(|| {
            let claims = self.access_token(token)?;
            claims.text("grant_id").map(GrantId::new)
        }))
    }

    fn access_token(&self, token: &Secret) -> Option<Claims> {
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::Exactly(ACCESS_TOKEN_TYPE),
            now: Some(self.now()),
            leeway: std::time::Duration::ZERO,
        };
        self.keyring.keys().verifiers.verify(token.expose(), &expected).ok()
    }

    fn about_access_token(&self, claims: &Claims, grant: &Grant, session: &Session) -> About {
        About {
            scope: claims.text("scope").unwrap_or_default().to_owned(),
            exp: claims.number("exp"),
            iat: claims.number("iat").unwrap_or_default(),
            aud: claims.texts("aud").into_iter().map(ClientId::new).collect(),
            jti: claims.text("jti").map(str::to_owned),
            token_use: "access_token",
            ext: ext(
                &Scopes::parse(claims.text("scope").unwrap_or_default()),
                claims.text("azp").map(ClientId::new),
                session,
            ),
            ..self.about(grant, session)
        }
    }

    /// Only a refresh token of the current generation is active.
    fn about_refresh_token(
        &self,
        owner: &Client,
        refresh_token: &RefreshTokenClaims,
        grant: &Grant,
        session: &Session,
    ) -> Option<About> {
        let current = grant.refreshable && refresh_token.generation == grant.generation;
        (current && !self.is_refresh_expired(owner, grant)).then(|| {
            let end = self.settings.refresh_of(owner).end(grant.created_at, grant.rotated_at);
            About { exp: end.map(Timestamp::secs), ..self.about(grant, session) }
        })
    }

    fn about(&self, grant: &Grant, session: &Session) -> About {
        About {
            scope: grant.scopes.to_string(),
            client_id: grant.client.clone(),
            username: session.identity.preferred_username.clone(),
            token_type: "Bearer",
            token_use: "refresh_token",
            exp: None,
            iat: grant.rotated_at.secs(),
            sub: subject(&session.identity.user_id, &session.connector),
            aud: vec![grant.client.clone()],
            iss: self.settings.issuer.as_str().to_owned(),
            jti: None,
            sid: Some(session.id.to_string()),
            ext: ext(&grant.scopes, None, session),
        }
    }
}

fn ext(scopes: &Scopes, azp: Option<ClientId>, session: &Session) -> Ext {
    let person = serde_json::to_value(PersonClaims::of(session, scopes)).unwrap_or_default();
    Ext { azp, sid: Some(session.id.to_string()), person }
}

impl Issuer {
    /// Ends the grant of a refresh or access token of this client. For any other token nothing is revoked and the
    /// response is the same (RFC 7009 section 2.2).
    pub async fn revoke(&self, client: &Client, token: &Secret) -> Result<(), IssuerError> {
        let Some(grant) = self.grant_named_by(token).await? else { return Ok(()) };
        let Some((grant, session)) = self.store.grant(&grant).await? else { return Ok(()) };
        if grant.client != client.id {
            tracing::warn!(client = %client.id, grant = %grant.id, "a token of another client was to be revoked");
            return Ok(());
        }
        let by = format!("client:{}", client.id);
        let ended = Ended { at: self.now(), by, reason: EndReason::Revoked };
        if let Some(end) = self.store.end_grant(&grant.id, ended, None).await? {
            tracing::info!(event = "grant_ended", grant = %grant.id, session = %session.id, client = %client.id, reason = "revoked", tokens_until = %end.tokens_until, "revoked by its client");
        }
        Ok(())
    }
}
