//! How a server of the command `local` is set up.

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

#[cfg(test)]
mod tests {
    use super::{Algorithm, Setup, Storage};

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
}
