//! The operations that can be measured.

use clap::ValueEnum;

use crate::setup::{Algorithm, Setup};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// GET /.well-known/openid-configuration
    Discovery,
    /// A handler with nothing but a body of the size of the discovery document, on the server's core
    BareDiscovery,
    /// GET the JWKS
    Keys,
    /// A handler with nothing but a body of the size of the JWKS, on the server's core
    BareKeys,
    /// GET the authorization endpoint without a cookie
    Auth,
    /// A whole login with a new browser, up to the tokens
    Login,
    /// A refresh token is exchanged for the next
    Refresh,
    /// GET userinfo with an access token
    Userinfo,
    /// POST an access token to the introspection endpoint
    Introspection,
}

impl Operation {
    /// What the command `local` measures on the first setup.
    pub const ALL: [Self; 9] = [
        Self::BareDiscovery,
        Self::Discovery,
        Self::BareKeys,
        Self::Keys,
        Self::Auth,
        Self::Userinfo,
        Self::Introspection,
        Self::Refresh,
        Self::Login,
    ];

    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub fn needs_tokens(self) -> bool {
        matches!(self, Self::Refresh | Self::Userinfo | Self::Introspection)
    }

    pub fn is_bare(self) -> bool {
        matches!(self, Self::BareDiscovery | Self::BareKeys)
    }

    /// RSA signatures that the server makes for one operation, of an ID token and an access token. A server whose setup
    /// is not known counts as one that signs both with RSA.
    pub fn signatures(self, setup: Option<&Setup>) -> Option<u32> {
        if !matches!(self, Self::Login | Self::Refresh) {
            return None;
        }
        let is_rsa = |algorithm| u32::from(algorithm == Algorithm::Rs256);
        Some(setup.map_or(2, |one| is_rsa(one.algorithm) + is_rsa(one.access_token_algorithm())))
    }
}

#[cfg(test)]
mod tests {
    use super::Operation;
    use crate::setup::{Algorithm, Setup};

    #[test]
    fn only_rsa_signatures_are_compared_with_openssl() {
        let setup = Setup::default();
        let mixed = Setup { access_tokens: Some(Algorithm::Es256), ..setup };
        let es256 = Setup { algorithm: Algorithm::Es256, ..setup };
        for (setup, signatures) in [(setup, 2), (mixed, 1), (es256, 0)] {
            assert_eq!(Operation::Refresh.signatures(Some(&setup)), Some(signatures));
        }
        assert_eq!(Operation::Login.signatures(None), Some(2));
        assert_eq!(Operation::Keys.signatures(Some(&setup)), None);
    }
}
