//! Proof Key for Code Exchange, method S256 (RFC 7636).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::ids;

use crate::error::Error;

/// `code_verifier` and the `code_challenge` made of it.
pub struct Pkce {
    pub verifier: String,
    pub challenge: String,
}

impl Pkce {
    pub fn generate() -> Result<Self, Error> {
        Ok(Self::of(random()?))
    }

    fn of(verifier: String) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(digest), verifier }
    }
}

/// 43 characters of base64url from the operating system's generator, for `state`, `nonce` and verifiers.
pub fn random() -> Result<String, Error> {
    ids::random_token().map_err(|cause| Error::Local(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::Pkce;

    /// The example of RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_the_sha256_of_the_verifier() {
        let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
