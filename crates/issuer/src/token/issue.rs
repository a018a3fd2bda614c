//! Signs tokens: ID tokens with Dex's claims, access tokens according to RFC 9068.

use countersign_core::identity;
use countersign_core::{
    Client, ClientId, Grant, Identity, Scopes, Secret, Session, Timestamp, ids, scopes,
};
use countersign_jose::{MAX_TOKEN_BYTES, hash};
use serde::Serialize;

use super::audience::Audience;
use super::distributed_claims::DistributedClaims;
use super::refresh_token::RefreshTokenClaims;
use super::{TokenError, Tokens};
use crate::keyring::{SigningTurn, TokenSigner};
use crate::{Issuer, IssuerError};

/// `typ` of an access token (RFC 9068 section 2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Tokens of this size or larger are logged as a warning. Those over [`MAX_TOKEN_BYTES`] are not issued.
const LARGE_TOKEN_BYTES: usize = 8 * 1024;

pub(super) struct TokenSubject {
    pub grant: Grant,
    pub session: Session,
    /// The code just redeemed, for `c_hash`.
    pub code: Option<Secret>,
    /// Whether an access token is issued as well, whose hash is then in the ID token (`at_hash`).
    pub has_access_token: bool,
}

impl TokenSubject {
    pub fn new(grant: Grant, session: Session) -> Self {
        Self { grant, session, code: None, has_access_token: true }
    }
}

/// Claims in the order Dex writes them.
#[derive(Serialize)]
struct IdToken<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a Audience,
    exp: i64,
    iat: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<&'a ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    auth_time: i64,
    sid: &'a str,
    /// Only in tokens for a cluster: the webhook looks up the grant by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_hash: Option<String>,
    #[serde(flatten)]
    person: PersonClaims<'a>,
}

/// RFC 9068 section 2.2, with the user's claims in addition, because tools send this token where an ID token is
/// expected.
#[derive(Serialize)]
struct AccessToken<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a Audience,
    exp: i64,
    iat: i64,
    jti: &'a str,
    /// As in Dex: the requesting client, when there are several audiences.
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<&'a ClientId>,
    client_id: &'a ClientId,
    scope: String,
    auth_time: i64,
    sid: &'a str,
    grant_id: &'a str,
    #[serde(flatten)]
    person: PersonClaims<'a>,
}

/// The claims about a user, by scope (OpenID Connect Core 5.4, and Dex's `groups` and `federated:id`).
#[derive(Serialize)]
pub(crate) struct PersonClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
    #[serde(flatten)]
    distributed: Option<&'a DistributedClaims>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    federated_claims: Option<FederatedClaims<'a>>,
}

#[derive(Serialize)]
struct FederatedClaims<'a> {
    connector_id: &'a str,
    user_id: &'a str,
}

impl<'a> PersonClaims<'a> {
    pub(crate) fn of(session: &'a Session, scope: &Scopes) -> Self {
        let Identity { user_id, username, preferred_username, email, email_verified, groups } =
            &session.identity;
        let profile = scope.has(scopes::PROFILE);
        let claim = |text: &'a String, by: bool| (by && !text.is_empty()).then_some(text.as_str());
        Self {
            email: claim(email, scope.has(scopes::EMAIL)),
            email_verified: scope.has(scopes::EMAIL).then_some(*email_verified),
            groups: if scope.has(scopes::GROUPS) { groups } else { &[] },
            distributed: None,
            name: claim(username, profile),
            preferred_username: claim(preferred_username, profile),
            federated_claims: scope
                .has(scopes::FEDERATED_ID)
                .then(|| FederatedClaims { connector_id: session.connector.as_str(), user_id }),
        }
    }

    /// Replaces the groups by the distributed claims, if there are any.
    fn groups_at(self, distributed: Option<&'a DistributedClaims>) -> Self {
        let groups = if distributed.is_some() { &[] } else { self.groups };
        Self { groups, distributed, ..self }
    }
}

/// All that may be refused about the tokens, decided before a code or refresh token is consumed.
pub(super) struct PreparedTokens {
    audience: Audience,
    scopes: Scopes,
    issued_at: Timestamp,
    /// Expiry of the tokens, fixed before they are signed, so that the expiry reported when ending a session is
    /// correct.
    pub tokens_until: Timestamp,
}

impl Issuer {
    /// Decides audience and expiry. An audience that does not trust the client is refused (`invalid_scope`).
    pub(super) fn prepare(
        &self,
        client: &Client,
        scopes: Scopes,
    ) -> Result<PreparedTokens, TokenError> {
        let now = self.now();
        let audience = self.audience(client, &scopes)?;
        let lifetime = self.lifetime_for(client, &audience);
        Ok(PreparedTokens { audience, scopes, issued_at: now, tokens_until: now + lifetime })
    }

    /// Signs the tokens of a grant. Called before the store changes anything, because the service that keeps the signing
    /// key may be unavailable; the tokens leave only by [`Issuer::issue`], after the store has accepted the grant. Only
    /// for a superseded refresh token, which is repeated or a replay, is the store asked first.
    pub(super) async fn sign_tokens(
        &self,
        prepared: PreparedTokens,
        subject: TokenSubject,
    ) -> Result<SignedTokens, TokenError> {
        let PreparedTokens { audience, scopes, tokens_until, issued_at } = &prepared;
        let keys = self.keyring.keys();
        let grant = &subject.grant.id;
        let (for_cluster, has_azp) = (self.is_for_cluster(audience), self.has_azp(audience));
        let work = SigningJob {
            signer: keys.signer(*issued_at)?,
            access_token_signer: keys.access_token_signer(*issued_at)?,
            distributed: self.distributed_claims(grant, audience, scopes, *tokens_until)?,
            prepared,
            subject,
            for_cluster,
            has_azp,
            iss: self.settings.issuer.as_str().to_owned(),
            access_jti: ids::random_id()?,
            id_jti: ids::random_id()?,
        };
        let turn = work.signer.turn(&self.keyring.signing_threads).await?;
        let (access_token, id_token) = work.sign(turn.as_ref()).await?;
        let signed = SignedTokens { work, access_token, id_token };
        signed.check_size()?;
        Ok(signed)
    }

    /// The response with tokens of a grant that the store has accepted, with its generation.
    pub(super) fn issue(&self, signed: SignedTokens, generation: i64) -> Tokens {
        signed.work.log_issuance();
        signed.work.log_size(signed.size_bytes());
        let SignedTokens { work, access_token, id_token } = signed;
        let SigningJob { prepared: PreparedTokens { scopes, tokens_until, .. }, subject, .. } =
            work;
        let grant = subject.grant;
        let refresh_token = RefreshTokenClaims { grant: grant.id, generation };
        let keys = self.keyring.keys();
        Tokens {
            access_token,
            issued_token_type: None,
            token_type: "bearer",
            expires_in: tokens_until.since(self.now()).as_secs(),
            refresh_token: grant.refreshable.then(|| refresh_token.sign(&keys.mac_settled)),
            id_token,
            scope: scopes.to_string(),
        }
    }
}

/// Tokens that nobody has received yet.
pub(super) struct SignedTokens {
    work: SigningJob,
    access_token: String,
    /// With the scope `openid`.
    id_token: Option<String>,
}

impl SignedTokens {
    /// The size of the larger token.
    fn size_bytes(&self) -> usize {
        self.access_token.len().max(self.id_token.as_ref().map_or(0, String::len))
    }

    /// Our own endpoints and the webhook refuse tokens over [`MAX_TOKEN_BYTES`], so none is issued. Only an administrator
    /// can limit the groups that make a token so long.
    fn check_size(&self) -> Result<(), IssuerError> {
        let size_bytes = self.size_bytes();
        if size_bytes <= MAX_TOKEN_BYTES {
            return Ok(());
        }
        let TokenSubject { grant: Grant { client, .. }, session, .. } = &self.work.subject;
        let Identity { user_id, groups, .. } = &session.identity;
        let size = format!("{} groups make a token of {size_bytes} bytes", groups.len());
        Err(IssuerError::Misconfigured {
            what: session.connector.to_string(),
            missing: format!("Your {size}, and at most {MAX_TOKEN_BYTES} are accepted."),
            cause: format!(
                "{size} for {user_id} at {client}, and at most {MAX_TOKEN_BYTES} are issued: filter the groups of the connector"
            ),
        })
    }

    /// The session that the tokens are about.
    pub fn session(&self) -> &Session {
        &self.work.subject.session
    }
}

/// Input of both signatures.
struct SigningJob {
    signer: TokenSigner,
    access_token_signer: TokenSigner,
    prepared: PreparedTokens,
    subject: TokenSubject,
    distributed: Option<DistributedClaims>,
    /// One of the audiences is a Kubernetes cluster's client.
    for_cluster: bool,
    has_azp: bool,
    iss: String,
    access_jti: String,
    id_jti: String,
}

impl SigningJob {
    /// Logs an issuance with the identifiers of the tokens, without the tokens themselves.
    fn log_issuance(&self) {
        let (TokenSubject { grant, session, .. }, scopes) = (&self.subject, &self.prepared.scopes);
        tracing::info!(
            event = "tokens_issued",
            client = %grant.client,
            session = %session.id,
            grant = %grant.id,
            access_jti = %self.access_jti,
            id_jti = %self.id_jti,
            user_id = %session.identity.user_id,
            scope = %scopes,
            "tokens issued"
        );
    }

    /// Many proxies and servers limit request headers to 8 KiB (nginx, Node.js, Tomcat).
    fn log_size(&self, size_bytes: usize) {
        if size_bytes >= LARGE_TOKEN_BYTES {
            let TokenSubject { grant, session, .. } = &self.subject;
            tracing::warn!(event = "large_token", client = %grant.client, session = %session.id, size_bytes, groups = session.identity.groups.len(), "a token is so large that servers may refuse the request header that carries it");
        }
    }

    /// The access token, and the ID token, which contains the hash of the access token (`at_hash`).
    async fn sign(
        &self,
        turn: Option<&SigningTurn>,
    ) -> Result<(String, Option<String>), IssuerError> {
        let TokenSubject { grant, session, code, has_access_token } = &self.subject;
        let PreparedTokens { audience, scopes, issued_at, tokens_until } = &self.prepared;
        let (iat, exp) = (issued_at.secs(), tokens_until.secs());
        let sub = identity::subject(&session.identity.user_id, &session.connector);
        // Claims of both tokens, because an API server accepts an access token in place of an ID token.
        let person = || PersonClaims::of(session, scopes).groups_at(self.distributed.as_ref());
        let azp = self.has_azp.then_some(&grant.client);
        let access = AccessToken {
            iss: &self.iss,
            sub: &sub,
            aud: audience,
            exp,
            iat,
            jti: &self.access_jti,
            azp,
            client_id: &grant.client,
            scope: scopes.to_string(),
            auth_time: grant.auth_time.secs(),
            sid: session.id.as_str(),
            grant_id: grant.id.as_str(),
            person: person(),
        };
        let access = json(&access)?;
        let access = self.access_token_signer.sign(turn, Some(ACCESS_TOKEN_TYPE), access).await?;
        if !scopes.has(scopes::OPENID) {
            return Ok((access, None));
        }
        // `at_hash` follows the `alg` of the ID token (OpenID Connect Core 3.1.3.6).
        let algorithm = self.signer.algorithm();
        let id = IdToken {
            iss: &self.iss,
            sub: &sub,
            aud: audience,
            exp,
            iat,
            jti: &self.id_jti,
            azp,
            nonce: grant.nonce.as_deref(),
            auth_time: grant.auth_time.secs(),
            sid: session.id.as_str(),
            grant_id: self.for_cluster.then_some(grant.id.as_str()),
            at_hash: has_access_token.then(|| hash::half_hash(algorithm, &access)),
            c_hash: code.as_ref().map(|code| hash::half_hash(algorithm, code.expose())),
            person: person(),
        };
        let id = self.signer.sign(turn, None, json(&id)?).await?;
        Ok((access, Some(id)))
    }
}

pub(crate) fn json(claims: &impl Serialize) -> Result<Vec<u8>, IssuerError> {
    serde_json::to_vec(claims).map_err(|e| IssuerError::Broken(e.to_string()))
}
