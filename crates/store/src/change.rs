//! Names the data that a notification to the other replicas is about.

/// Data that replicas keep in memory has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Signing, sealing and MAC keys.
    Keys,
    CircuitBreakers,
    /// Clients, users and connectors of the database.
    StoredObjects,
    /// Possibly everything: notifications may have been lost, or are from another version of this program.
    Anything,
}

impl Change {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::CircuitBreakers => "circuit_breakers",
            Self::StoredObjects => "stored_objects",
            Self::Anything => "anything",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        let all = [Self::Keys, Self::CircuitBreakers, Self::StoredObjects];
        all.into_iter().find(|change| change.as_str() == text).unwrap_or(Self::Anything)
    }
}
