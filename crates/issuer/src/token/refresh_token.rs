//! A refresh token is a signed value that contains a grant id and a generation. It is not stored, so it cannot be
//! stolen from the database.

use countersign_core::identity::pair_of;
use countersign_core::{GrantId, Secret};
use countersign_jose::{MacKeys, hash};

use crate::{Issuer, IssuerError};

const PURPOSE: &str = "refresh token";

/// The claims of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefreshTokenClaims {
    pub grant: GrantId,
    pub generation: i64,
}

impl RefreshTokenClaims {
    /// `<key>.<grant>.<generation>.<mac>`; grant and MAC have at least 32 characters of base64url each.
    pub fn sign(&self, keys: &MacKeys) -> String {
        let Self { grant, generation } = self;
        let (key, mac) = keys.sign(PURPOSE, &self.message());
        format!("{key}.{grant}.{generation}.{mac}")
    }

    /// `None` if the token was not signed here.
    pub fn read(token: &Secret, keys: &MacKeys) -> Option<Self> {
        let mut parts = token.expose().splitn(4, '.');
        let (key, grant, generation, mac) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let refresh_token =
            Self { grant: GrantId::new(grant), generation: canonical_number(generation)? };
        keys.verify(canonical_number(key)?, PURPOSE, &refresh_token.message(), mac)
            .then_some(refresh_token)
    }

    fn message(&self) -> String {
        format!("{}.{}", self.grant, self.generation)
    }
}

impl Issuer {
    /// The claims of a refresh token, if we issued it or it was imported from Dex.
    ///
    /// Of the refresh tokens that Dex issued for a grant only the latest is accepted, as the generation before our
    /// first. Older ones are refused without ending the grant, as in Dex: whether they were already used is not known
    /// here.
    pub(super) async fn read_refresh_token(
        &self,
        token: &Secret,
    ) -> Result<Option<RefreshTokenClaims>, IssuerError> {
        if let Some(claims) = RefreshTokenClaims::read(token, &self.keyring.keys().mac) {
            return Ok(Some(claims));
        }
        let Some((id, secret)) = pair_of(token.expose()).filter(|(id, _)| !id.is_empty()) else {
            return Ok(None);
        };
        let Some(imported) = self.store.imported_token(&id).await? else { return Ok(None) };
        let expected = Secret::new(imported.token_hash);
        let is_current = expected.matches(&hash::sha256(&secret));
        Ok(is_current.then_some(RefreshTokenClaims { grant: imported.grant, generation: 0 }))
    }
}

/// Refuses other spellings of a number, so that a token has exactly one spelling.
pub(crate) fn canonical_number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::RefreshTokenClaims;
    use countersign_core::{GrantId, Secret};
    use countersign_jose::MacKeys;

    fn keys() -> MacKeys {
        MacKeys::new(vec![(1, MacKeys::generate().unwrap()), (2, MacKeys::generate().unwrap())])
            .unwrap()
    }

    #[test]
    fn a_refresh_token_reads_back_what_was_signed() {
        let keys = keys();
        let claims = RefreshTokenClaims { grant: GrantId::random().unwrap(), generation: 7 };
        let token = claims.sign(&keys);
        assert_eq!(RefreshTokenClaims::read(&Secret::new(token.clone()), &keys), Some(claims));
        assert!(token.starts_with("2."));
    }

    #[test]
    fn any_change_of_a_refresh_token_is_noticed() {
        let keys = keys();
        let claims = RefreshTokenClaims { grant: GrantId::random().unwrap(), generation: 7 };
        let token = claims.sign(&keys);
        for changed in [
            token.replace(".7.", ".8."),
            token.replace(".7.", ".07."),
            token.replacen("2.", "1.", 1),
            token.replacen("2.", "+2.", 1),
            format!("{token}="),
            format!("{token} "),
            token[..token.len() - 1].to_owned(),
            String::new(),
            "....".to_owned(),
        ] {
            assert_eq!(
                RefreshTokenClaims::read(&Secret::new(changed.clone()), &keys),
                None,
                "{changed}"
            );
        }
    }
}
