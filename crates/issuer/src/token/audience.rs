//! For whom a token is (RFC 7519 section 4.1.3).

use countersign_core::ClientId;
use serde::{Deserialize, Serialize};

/// One audience is a string, several are a list, as Dex has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(ClientId),
    Many(Vec<ClientId>),
}

impl Audience {
    pub fn iter(&self) -> impl Iterator<Item = &ClientId> {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
        .iter()
    }
}
