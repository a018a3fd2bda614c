//! What one run measures: how a server of the command `local` is set up, and the operations.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// A SQLite file with durable commits
    #[default]
    Sqlite3,
    /// A database of its own on the PostgreSQL server of `--dsn`
    Postgres,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    #[default]
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "ES256")]
    Es256,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub storage: Storage,
    pub algorithm: Algorithm,
    /// `signer.accessTokenAlgorithm`.
    pub access_tokens: Option<Algorithm>,
    /// Sessions of other users in the database before the first request.
    pub sessions: u32,
}

impl Setup {
    pub fn access_token_algorithm(self) -> Algorithm {
        self.access_tokens.unwrap_or(self.algorithm)
    }
}

impl Algorithm {
    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.storage {
            Storage::Sqlite3 => "SQLite",
            Storage::Postgres => "PostgreSQL",
        })?;
        write!(f, ", {}", self.algorithm.as_str())?;
        if let Some(algorithm) = self.access_tokens {
            write!(f, ", access tokens {}", algorithm.as_str())?;
        }
        match self.sessions {
            0 => Ok(()),
            sessions => write!(f, ", {sessions} sessions"),
        }
    }
}

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
    use super::{Algorithm, Operation, Setup, Storage};

    #[test]
    fn a_setup_names_what_differs_from_the_first_one() {
        let setup = Setup::default();
        assert_eq!(setup.to_string(), "SQLite, RS256");
        let setup = Setup {
            storage: Storage::Postgres,
            access_tokens: Some(Algorithm::Es256),
            sessions: 1000,
            ..setup
        };
        assert_eq!(setup.to_string(), "PostgreSQL, RS256, access tokens ES256, 1000 sessions");
    }

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
