//! `authorization_code` (RFC 6749 section 4.1.3): a code is redeemed once, by its client, with its code verifier.

use countersign_core::session::{Challenge, ChallengeMethod, EndReason, Ended};
use countersign_core::{Client, GrantId, Secret, Session};
use countersign_jose::hash;
use countersign_store::RedeemCodeOutcome;

use super::issue::TokenSubject;
use super::new_grant::{GrantTerms, OFFLINE_LIMIT, log_dropped};
use super::{TokenError, Tokens};
use crate::Issuer;
use crate::login::is_pkce_text;

const INVALID_CODE: &str = "Invalid or expired code parameter.";

pub(super) struct CodeRedemption {
    pub code: Secret,
    pub redirect_uri: Option<String>,
    pub verifier: Option<Secret>,
}

impl Issuer {
    /// A second use by the same client ends the grant of the first (RFC 6749 section 4.1.2).
    pub(super) async fn redeem_code(
        &self,
        client: &Client,
        params: CodeRedemption,
    ) -> Result<Tokens, TokenError> {
        let now = self.now();
        let hashed = hash::sha256(params.code.expose());
        let stored = self.store.code(&hashed).await?;
        // A request of another client has no effect on the code and does not reveal its state (RFC 6749 section 4.1.3).
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
        let session = self.valid_session(client, stored.session).await?;
        let terms =
            GrantTerms { scopes: code.scopes, nonce: code.nonce, auth_time: code.auth_time };
        let grant = self.new_grant(client, &session, terms)?;
        let (prepared, grant) = self.prepare_grant(client, grant)?;
        let subject =
            TokenSubject { code: Some(params.code), ..TokenSubject::new(grant.clone(), session) };
        let signed = self.sign_tokens(prepared, subject).await?;
        let generation = grant.generation;
        match self.store.redeem_code(&hashed, &client.id, grant, now, OFFLINE_LIMIT).await? {
            RedeemCodeOutcome::Granted { dropped } => log_dropped(signed.session(), &dropped),
            RedeemCodeOutcome::AlreadyUsed { grant } => {
                return Err(self.code_used_twice(grant.as_ref()).await?);
            }
            RedeemCodeOutcome::SessionEnded | RedeemCodeOutcome::NotRedeemable => {
                return Err(TokenError::invalid_grant(INVALID_CODE));
            }
        }
        Ok(self.issue(signed, generation))
    }

    /// The session that the code was issued in, if it is still valid for the client.
    async fn valid_session(
        &self,
        client: &Client,
        session: Option<Session>,
    ) -> Result<Session, TokenError> {
        match session {
            Some(session) if self.is_valid(Some(client), &session).await? => Ok(session),
            _ => Err(TokenError::invalid_grant(INVALID_CODE)),
        }
    }

    /// RFC 6749 section 4.1.2: a second use revokes the tokens issued for the first.
    async fn code_used_twice(&self, grant: Option<&GrantId>) -> Result<TokenError, TokenError> {
        if let Some(grant) = grant {
            let ended =
                Ended { at: self.now(), by: "system".to_owned(), reason: EndReason::CodeReused };
            if self.store.end_grant(grant, ended, None).await?.is_some() {
                tracing::warn!(event = "grant_ended", grant = %grant, reason = "code_reused", "a code was used twice");
            }
        }
        Ok(TokenError::invalid_grant(INVALID_CODE))
    }
}

/// RFC 7636 section 4.6; a verifier without a challenge indicates a downgrade attack (RFC 9700 section 4.8.2).
pub(super) fn check_verifier(
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
