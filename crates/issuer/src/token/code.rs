//! `authorization_code` (RFC 6749 section 4.1.3): a code is used once, by its client, with its verifier.

use countersign_core::session::{Challenge, ChallengeMethod, EndReason, Ended};
use countersign_core::{Client, Code, Grant, GrantId, Secret, Session, scopes};
use countersign_jose::hash;
use countersign_store::RedeemCodeOutcome;

use super::issue::TokenSubject;
use super::{TokenError, Tokens};
use crate::Issuer;
use crate::login::is_pkce_text;

/// Live offline grants per session and client; the longest idle gives way.
const OFFLINE_LIMIT: i64 = 100;
const INVALID_CODE: &str = "Invalid or expired code parameter.";

pub(super) struct CodeRedemption {
    pub code: Secret,
    pub redirect_uri: Option<String>,
    pub verifier: Option<Secret>,
}

impl Issuer {
    pub(super) async fn redeem_code(
        &self,
        client: &Client,
        params: CodeRedemption,
    ) -> Result<Tokens, TokenError> {
        let now = self.now();
        let hashed = hash::sha256(params.code.expose());
        let stored = self.store.code(&hashed).await?;
        // Another client's attempt changes nothing and learns nothing (RFC 6749 section 4.1.3).
        let Some(stored) = stored.filter(|stored| stored.code.client == client.id) else {
            return Err(TokenError::invalid_grant(INVALID_CODE));
        };
        if stored.used_at.is_some() {
            return Err(self.code_used_twice(stored.code.grant.as_ref()).await?);
        }
        let code = stored.code;
        if now > code.expires_at {
            return Err(TokenError::invalid_grant(INVALID_CODE));
        }
        if params.redirect_uri.as_deref() != Some(code.redirect_uri.as_str()) {
            return Err(TokenError::invalid_grant(
                "redirect_uri did not match URI from initial request.",
            ));
        }
        check_verifier(code.challenge.as_ref(), params.verifier.as_ref())?;
        let session = self.session_of(client, &code).await?;
        let grant = self.new_grant(client, &code, &session)?;
        let prepared = self.prepare(client, grant.scopes.clone())?;
        let grant = Grant { tokens_until: prepared.tokens_until, ..grant };
        match self.store.redeem_code(&hashed, &client.id, grant.clone(), now, OFFLINE_LIMIT).await?
        {
            RedeemCodeOutcome::Granted { dropped } => {
                for grant in dropped {
                    tracing::warn!(event = "grant_ended", grant = %grant, session = %session.id, reason = "too_many_grants", "the longest idle grant gave way");
                }
            }
            RedeemCodeOutcome::AlreadyUsed { grant } => {
                return Err(self.code_used_twice(grant.as_ref()).await?);
            }
            RedeemCodeOutcome::SessionEnded | RedeemCodeOutcome::NotRedeemable => {
                return Err(TokenError::invalid_grant(INVALID_CODE));
            }
        }
        self.issue_tokens(prepared, TokenSubject { grant, session, code: Some(params.code) }).await
    }

    /// The session a code was given by, if everything it stood on is still there.
    async fn session_of(&self, client: &Client, code: &Code) -> Result<Session, TokenError> {
        match self.store.session(&code.session).await? {
            Some(session) if self.is_valid(Some(client), &session).await? => Ok(session),
            _ => Err(TokenError::invalid_grant(INVALID_CODE)),
        }
    }

    fn new_grant(
        &self,
        client: &Client,
        code: &Code,
        session: &Session,
    ) -> Result<Grant, TokenError> {
        let now = self.now();
        let can_refresh =
            self.connectors.get(&session.connector).is_some_and(|c| c.refresh.is_some());
        let refreshable =
            can_refresh && self.settings.refresh_enabled && code.scopes.has(scopes::OFFLINE_ACCESS);
        Ok(Grant {
            id: GrantId::random()?,
            session: session.id.clone(),
            client: client.id.clone(),
            scopes: code.scopes.filtered(|scope| refreshable || scope != scopes::OFFLINE_ACCESS),
            nonce: code.nonce.clone(),
            auth_time: code.auth_time,
            refreshable,
            generation: 1,
            mac_key: self.keyring.keys().mac_settled.newest(),
            created_at: now,
            rotated_at: now,
            tokens_until: now + self.settings.token_lifetime_of(client),
            ended: None,
        })
    }

    /// RFC 6749 section 4.1.2: what the first use gave is taken back.
    async fn code_used_twice(&self, grant: Option<&GrantId>) -> Result<TokenError, TokenError> {
        if let Some(grant) = grant {
            let ended =
                Ended { at: self.now(), by: "system".to_owned(), why: EndReason::CodeReused };
            if self.store.end_grant(grant, ended).await?.is_some() {
                tracing::warn!(event = "grant_ended", grant = %grant, reason = "code_reused", "a code was used twice");
            }
        }
        Ok(TokenError::invalid_grant(INVALID_CODE))
    }
}

/// RFC 7636 section 4.6; a verifier without a challenge is a downgrade (RFC 9700 section 4.8.2).
fn check_verifier(
    challenge: Option<&Challenge>,
    verifier: Option<&Secret>,
) -> Result<(), TokenError> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (None, Some(_)) => {
            Err(TokenError::invalid_grant("No PKCE flow started. Cannot check code_verifier."))
        }
        (Some(_), None) => {
            Err(TokenError::invalid_grant("Expecting parameter code_verifier in PKCE flow."))
        }
        (Some(challenge), Some(verifier)) => {
            let matched = is_pkce_text(verifier.expose())
                && match challenge.method {
                    ChallengeMethod::S256 => {
                        Secret::new(hash::s256(verifier.expose())).matches(&challenge.value)
                    }
                    ChallengeMethod::Plain => verifier.matches(&challenge.value),
                };
            matched.then_some(()).ok_or_else(|| TokenError::invalid_grant("Invalid code_verifier."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_verifier;
    use countersign_core::Secret;
    use countersign_core::session::{Challenge, ChallengeMethod};

    // The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn passes(challenge: Option<&str>, verifier: Option<&str>) -> bool {
        let challenge = challenge
            .map(|value| Challenge { method: ChallengeMethod::S256, value: value.to_owned() });
        check_verifier(challenge.as_ref(), verifier.map(Secret::new).as_ref()).is_ok()
    }

    #[test]
    fn the_example_of_the_rfc_passes() {
        assert!(passes(Some(CHALLENGE), Some(VERIFIER)));
        assert!(passes(None, None));
    }

    #[test]
    fn a_missing_wrong_short_long_or_odd_verifier_is_refused() {
        assert!(!passes(Some(CHALLENGE), None));
        assert!(!passes(None, Some(VERIFIER)));
        let (short, long) = (&VERIFIER[..42], "a".repeat(129));
        let odd = VERIFIER.replace('j', "+");
        for wrong in [short, &long, &odd, "", CHALLENGE] {
            assert!(!passes(Some(CHALLENGE), Some(wrong)), "{wrong}");
        }
    }
}
