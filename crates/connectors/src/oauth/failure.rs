//! Why an upstream could not be asked, or what was wrong with its answer.

use countersign_core::connector::Unavailable;
use countersign_core::{ConnectorId, Trace};

/// Never holds a code, a token, a secret or any text of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the {endpoint} cannot be reached: {why}")]
    Unreachable { endpoint: &'static str, why: String },
    #[error("the {endpoint} did not answer in time")]
    Slow { endpoint: &'static str },
    #[error("the {endpoint} answered {status}{}", .code.map(|c| format!(" {c}")).unwrap_or_default())]
    Status { endpoint: &'static str, status: u16, code: Option<&'static str> },
    /// 429, or another status with `Retry-After` (RFC 9110 section 10.2.3).
    #[error("the {endpoint} answered {status}: too many requests, again in {seconds} s")]
    Later { endpoint: &'static str, status: u16, seconds: u64 },
    #[error("the {endpoint} answered with more than {limit_bytes} bytes")]
    TooLarge { endpoint: &'static str, limit_bytes: usize },
    #[error("the {endpoint} did not answer with the JSON that is expected of it")]
    NotJson { endpoint: &'static str },
    #[error("the answer of the {endpoint} lacks {what}")]
    Lacks { endpoint: &'static str, what: &'static str },
    #[error("the {endpoint} is not asked: {why}")]
    NotAsked { endpoint: &'static str, why: &'static str },
    #[error("the ID token is refused: {0}")]
    IdToken(String),
    /// A claim or member that is absent or of the wrong kind; by name only.
    #[error("{0}")]
    Person(String),
    /// Ours: the configuration or the machine.
    #[error("{0}")]
    Here(String),
}

impl Failure {
    /// The form the port wants, with a line in the trace.
    pub fn told(self, upstream: &ConnectorId, trace: &mut Trace) -> Unavailable {
        let cause = self.to_string();
        trace.note(format!("failed: {cause}"));
        Unavailable { upstream: upstream.to_string(), cause }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Later { status, .. } => Some(*status),
            _ => None,
        }
    }
}
